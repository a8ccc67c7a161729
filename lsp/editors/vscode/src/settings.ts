// Which settings the server gets. Pure: what package.json says of a setting decides.

/** A setting in package.json, by its key below `tenken.`. */
export interface Declared {
  readonly key: string;
  readonly scope: string;
}

/** A setting's values as `WorkspaceConfiguration.inspect` has them. */
export interface Inspected {
  readonly globalValue?: unknown;
  readonly workspaceValue?: unknown;
  readonly workspaceFolderValue?: unknown;
}

/** Settings of the extension itself, which the server does not know. */
export const OWN = ["serverPath", "trace.server"];

const SECTION = "tenken.";

/** Return the settings of the server that an extension's package.json declares. */
export function declared(manifest: unknown): Declared[] {
  const configuration = (manifest as Manifest).contributes.configuration;
  return configuration
    .flatMap((part) => Object.entries(part.properties))
    .map(([name, property]) => ({ key: name.slice(SECTION.length), scope: property.scope ?? "window" }))
    .filter(({ key }) => !OWN.includes(key));
}

interface Manifest {
  readonly contributes: {
    readonly configuration: readonly {
      readonly properties: Readonly<Record<string, { readonly scope?: string }>>;
    }[];
  };
}

/**
 * Return what the user set. Defaults are left out, so that the environment of the server still counts, and so are
 * values of the folder under review where a setting says where code or tokens go.
 */
export function given(
  settings: readonly Declared[],
  inspect: (key: string) => Inspected | undefined,
): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const { key, scope } of settings) {
    const value = effective(inspect(key) ?? {}, scope === "machine");
    if (value !== undefined && value !== null && value !== "") {
      found[key] = value;
    }
  }
  return found;
}

function effective(values: Inspected, userOnly: boolean): unknown {
  if (userOnly) {
    return values.globalValue;
  }
  return values.workspaceFolderValue ?? values.workspaceValue ?? values.globalValue;
}
