// Findings as the editor has them: the server's diagnostics, with the finding in their data. Pure.

/** What a command about a finding needs. */
export interface Mark {
  readonly uri: string;
  readonly fingerprint: string;
}

/** What the server put into a diagnostic. */
interface Data {
  readonly fingerprint: string;
  readonly hasSuggestion?: boolean;
}

/** As much of a diagnostic as is looked at here. */
export interface Shown {
  readonly message: string;
  readonly range: { readonly start: { readonly line: number }; readonly end: { readonly line: number } };
}

/** A finding on a line. */
export interface Finding {
  readonly fingerprint: string;
  readonly message: string;
  readonly hasSuggestion: boolean;
}

/** Return the findings on a line, from 0. */
export function findingsAt(shown: readonly Shown[], line: number): Finding[] {
  return shown
    .filter(({ range }) => range.start.line <= line && line <= range.end.line)
    .flatMap((diagnostic) => {
      const data = (diagnostic as { data?: Data }).data;
      return data === undefined
        ? []
        : [
            {
              fingerprint: data.fingerprint,
              message: diagnostic.message,
              hasSuggestion: data.hasSuggestion === true,
            },
          ];
    });
}
