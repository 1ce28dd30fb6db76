/** GET /version. Source: apimachinery pkg/version.Info. */

/** The Kubernetes level whose behaviour this API follows. */
export const defaultServerVersion = "v1.32.4";

export function versionDocument(gitVersion: string): object {
  const [major = "1", minor = "0"] = gitVersion.replace(/^v/, "").split(".");
  return {
    major,
    minor,
    gitVersion,
    gitCommit: "",
    gitTreeState: "clean",
    buildDate: "1970-01-01T00:00:00Z",
    // No Go here: the field is shown to users, so it says what really runs.
    goVersion: `node ${process.version}`,
    compiler: "katasim",
    platform: `${process.platform}/${process.arch === "x64" ? "amd64" : process.arch}`,
  };
}
