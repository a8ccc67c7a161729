// What the server shows on a line: findings, and threads of the merge request, told by a diagnostic's data. Pure.

/** What a command names a finding or a thread by. */
export type Mark = { readonly fingerprint: string } | { readonly thread: string };

/** As much of a diagnostic as is looked at here. */
export interface Shown {
  readonly message: string;
  readonly range: { readonly start: { readonly line: number }; readonly end: { readonly line: number } };
}

/** Something on a line that can be asked about. */
export interface Remark {
  readonly message: string;
  readonly mark: Mark;
}

/** Return the findings on a line, from 0, and with `threads` those as well. */
export function remarksAt(shown: readonly Shown[], line: number, threads = false): Remark[] {
  return shown
    .filter(({ range }) => range.start.line <= line && line <= range.end.line)
    .flatMap((diagnostic) => {
      const mark = markOf((diagnostic as { data?: unknown }).data, threads);
      return mark === undefined ? [] : [{ message: diagnostic.message, mark }];
    });
}

function markOf(data: unknown, threads: boolean): Mark | undefined {
  const { fingerprint, thread } = (data ?? {}) as { fingerprint?: string; thread?: string };
  if (fingerprint !== undefined) {
    return { fingerprint };
  }
  return threads && thread !== undefined ? { thread } : undefined;
}
