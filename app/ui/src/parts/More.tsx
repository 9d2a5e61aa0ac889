/** The end of a list: how much is shown, and more of it. It never claims a total that nobody has counted. */
import { t } from "../texts";

export function More({ shown, query }: {
  shown: number;
  query: { hasNextPage: boolean; isFetchingNextPage: boolean; fetchNextPage: () => unknown };
}) {
  return (
    <div className="more small">
      <span className="number">{query.hasNextPage ? t.common.shownOfMore(shown) : t.common.shownAll(shown)}</span>
      {query.hasNextPage && (
        <button type="button" className="button small" disabled={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()} data-testid="more">
          {t.common.more}
        </button>
      )}
    </div>
  );
}
