/** The steps of a definition as a list with what is inside of each, for reading. */
import { CornerDownRight } from "lucide-react";
import { type Step, branches, kindName, summary } from "./steps";
import { t } from "../texts";

export function Outline({ steps }: { steps: readonly Step[] }) {
  if (steps.length === 0) return <p className="faint">{t.steps.none}</p>;
  return (
    <ol className="steps">
      {steps.map((step) => (
        <li key={step.id} data-testid={`step-${step.id}`}>
          <div className="step plain">
            <div className="row">
              <span className="name">{step.id}</span>
              <span className="about clip">{kindName(step.kind)} {summary(step)}</span>
            </div>
          </div>
          {branches(step).map((branch) => (
            <div className="branch" key={branch.id}>
              <div className="title"><CornerDownRight aria-hidden size={13} />{branch.title}</div>
              <Outline steps={branch.steps} />
            </div>
          ))}
        </li>
      ))}
    </ol>
  );
}
