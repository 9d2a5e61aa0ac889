/** Charts as drawings of our own: stacked bars and lines over buckets of time, and the same numbers as a table. */
import { type PointerEvent, useState } from "react";
import { t } from "../texts";

export type Tone = "good" | "bad" | "warn" | "info" | "rest";
export interface Series { name: string; tone: Tone; dash?: string; values: readonly (number | null)[] }
const WIDTH = 640;
const HEIGHT = 150;

export function Chart({ title, kind, labels, series, unit = String }: {
  title: string; kind: "bars" | "lines"; labels: readonly string[]; series: readonly Series[]; unit?: (value: number) => string;
}) {
  const [over, setOver] = useState<number>();
  const shown = series.filter((one) => one.values.some((value) => value));
  const top = kind === "bars" ? Math.max(1, ...labels.map((_, index) => sum(shown, index))) : Math.max(1e-9, ...shown.flatMap((one) => one.values.map((value) => value ?? 0)));
  const follow = (event: PointerEvent<SVGSVGElement>) => {
    const { left, width } = event.currentTarget.getBoundingClientRect();
    setOver(Math.max(0, Math.min(labels.length - 1, Math.floor(((event.clientX - left) / width) * labels.length))));
  };
  return (
    <figure className="chart">
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={`${title}. ${t.stats.tableBelow}`} onPointerMove={follow} onPointerLeave={() => setOver(undefined)}>
        <path className="grid" d={`M0 0.5H${WIDTH}M0 ${HEIGHT / 2}H${WIDTH}M0 ${HEIGHT - 0.5}H${WIDTH}`} />
        {over !== undefined && <rect className="over" x={(over * WIDTH) / labels.length} y={0} width={WIDTH / labels.length} height={HEIGHT} />}
        {kind === "bars" ? <Bars series={shown} count={labels.length} top={top} /> : shown.map((one) => <Line key={one.name} of={one} top={top} />)}
      </svg>
      <div className="row between small faint number chart-scale"><span>{labels[0]}</span><span>{t.stats.most(unit(top))}</span><span>{labels.at(-1)}</span></div>
      <ul className="row wrap small legend">
        {shown.map((one) => <li key={one.name} className="row"><i className={`swatch ${one.tone}${one.dash ? " dashed" : ""}`} aria-hidden />{one.name}{over !== undefined && <strong className="number">{said(one.values[over], unit)}</strong>}</li>)}
        {over !== undefined && <li className="faint number">{labels[over]}</li>}
        {shown.length === 0 && <li className="faint">{t.stats.nothing}</li>}
      </ul>
      <details className="more-fields">
        <summary className="small">{t.stats.table}</summary>
        <div className="scrolled" tabIndex={0} role="region" aria-label={title}><Numbers title={title} labels={labels} series={shown} unit={unit} /></div>
      </details>
    </figure>
  );
}

const sum = (series: readonly Series[], index: number) => series.reduce((total, one) => total + (one.values[index] ?? 0), 0);
const said = (value: number | null | undefined, unit: (value: number) => string) => (value === null || value === undefined ? "–" : unit(value));

/** One path for each series, however many buckets there are. */
function Bars({ series, count, top }: { series: readonly Series[]; count: number; top: number }) {
  const [step, gap] = [WIDTH / count, count > 120 ? 0 : 1];
  const under = new Array<number>(count).fill(0);
  return series.map((one) => {
    const d = one.values.map((value, index) => {
      if (!value) return "";
      const [below, height] = [under[index] ?? 0, (value / top) * HEIGHT];
      under[index] = below + height;
      return `M${(index * step + gap / 2).toFixed(2)} ${(HEIGHT - below).toFixed(2)}v${(-height).toFixed(2)}h${Math.max(0.6, step - gap).toFixed(2)}v${height.toFixed(2)}z`;
    });
    return <path key={one.name} className={`bar ${one.tone}`} d={d.join("")} />;
  });
}

/** Buckets without a value interrupt the line; one alone is a stroke as wide as it. */
function Line({ of, top }: { of: Series; top: number }) {
  const step = WIDTH / of.values.length;
  const y = (value: number) => (HEIGHT - 2 - (value / top) * (HEIGHT - 6)).toFixed(2);
  const d = of.values.map((value, index) => {
    if (value === null) return "";
    const [before, after] = [of.values[index - 1] ?? null, of.values[index + 1] ?? null];
    if (before === null && after === null) return `M${(index * step).toFixed(2)} ${y(value)}h${step.toFixed(2)}`;
    return `${before === null ? "M" : "L"}${((index + 0.5) * step).toFixed(2)} ${y(value)}`;
  });
  return <path className={`line ${of.tone}`} d={d.join("")} strokeDasharray={of.dash} vectorEffect="non-scaling-stroke" />;
}

function Numbers({ title, labels, series, unit }: { title: string; labels: readonly string[]; series: readonly Series[]; unit: (value: number) => string }) {
  return (
    <table className="numbers">
      <caption className="hidden">{title}</caption>
      <thead><tr><th scope="col">{t.stats.from}</th>{series.map((one) => <th key={one.name} scope="col">{one.name}</th>)}</tr></thead>
      <tbody>
        {labels.map((label, index) => series.some((one) => one.values[index]) && (
          <tr key={label}><th scope="row">{label}</th>{series.map((one) => <td key={one.name} className="number">{said(one.values[index], unit)}</td>)}</tr>
        ))}
      </tbody>
    </table>
  );
}
