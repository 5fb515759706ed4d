//! How a bare Debian machine gets its agent: the script that the hub serves at `/install`, and the one line that runs it.
//!
//! Whom does the machine believe? The line, which a person brings to it. The line holds the SHA-256 of the script, and the script the SHA-256 of each
//! package, so that neither can be changed on the way, not even where the hub speaks in clear. With a self-signed certificate curl also pins the
//! certificate's key. The link with its secret goes to the script's standard input: no process list shows it, and no request for the script or a
//! package contains it.
//!
//! The script installs only what is missing. An agent that is installed stays as it is, because upgrades come by apt.

use std::fmt::Write as _;

use olog_push::words::Localizer;
use sha2::{Digest as _, Sha256};

use super::Offered;

/// The script for these packages. Ends with one line end: `$(…)` in the line takes all of them away, and `printf` gives one back.
pub fn script(offered: &[Offered], pin: Option<&str>, say: &Localizer) -> String {
    let word = |key: &str| quoted(&say.text(key, &[]));
    let mut cases = String::new();
    let architectures: Vec<&str> = offered.iter().map(|offered| offered.architecture.as_str()).collect();
    for Offered { name, architecture, sha256, .. } in offered {
        // A text grows without an error.
        let written = writeln!(cases, "    {architecture}) file={} sum={} ;;", quoted(name), quoted(sha256));
        debug_assert!(written.is_ok());
    }
    let other = say.text("cli-install-architecture", &[("known", architectures.join(", ").into())]);
    SCRIPT
        .replace("@cases@", cases.trim_end())
        .replace("@curl@", &curl(pin))
        .replace("@architecture@", &quoted(&other))
        .replace("@no-link@", &word("cli-install-no-link"))
        .replace("@root@", &word("cli-install-root"))
        .replace("@debian@", &word("cli-install-debian"))
        .replace("@installed@", &word("cli-install-installed"))
        .replace("@no-curl@", &word("cli-install-no-curl"))
        .replace("@download@", &word("cli-install-download"))
        .replace("@hash@", &word("cli-install-hash"))
        .replace("@apt@", &word("cli-install-apt"))
        .replace("@not-joined@", &word("cli-install-not-joined"))
}

/// For a POSIX shell. Every word is a single-quoted text.
const SCRIPT: &str = "\
# Installs olog-agent on Debian and joins this machine to its Olog hub. Reads the join link from standard input.
set -eu
say() { printf 'olog: %s\\n' \"$1\" >&2; }
fail() { say \"$1\"; exit 1; }
IFS= read -r link || fail @no-link@
base=${link%%/join#*}
[ \"$base\" != \"$link\" ] || fail @no-link@
[ \"$(id -u)\" = 0 ] || fail @root@
command -v apt-get >/dev/null || fail @debian@
if dpkg-query --show --showformat '${Status}' olog-agent 2>/dev/null | grep -q 'ok installed'; then
  say @installed@
else
  command -v curl >/dev/null || fail @no-curl@
  arch=$(dpkg --print-architecture)
  case $arch in
@cases@
    *) fail @architecture@\" $arch\" ;;
  esac
  dir=$(mktemp -d)
  trap 'rm -rf \"$dir\"' EXIT
  chmod 755 \"$dir\"
  @curl@ -o \"$dir/$file\" \"$base/packages/$file\" || fail @download@
  echo \"$sum  $dir/$file\" | sha256sum --check --status || fail @hash@
  export DEBIAN_FRONTEND=noninteractive
  apt-get install --quiet --yes \"$dir/$file\" </dev/null >&2 || {
    apt-get update --quiet </dev/null >&2 && apt-get install --quiet --yes \"$dir/$file\" </dev/null >&2
  } || fail @apt@
fi
printf '%s\\n' \"$link\" | olog-agent join || fail @not-joined@
";

/// The line that a person pastes into a shell of the machine.
pub fn line(base: &str, link: &str, script: &str, pin: Option<&str>, say: &Localizer) -> String {
    let hash: String = Sha256::digest(script).iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "i=$({} {}) && if [ \"$(printf '%s\\n' \"$i\" | sha256sum)\" = '{hash}  -' ]; then echo {} | $(command -v sudo) sh -c \"$i\"; \
         else echo {} >&2; false; fi",
        curl(pin),
        quoted(&format!("{base}/install")),
        quoted(link),
        quoted(&say.text("cli-install-changed", &[])),
    )
}

/// The part of the link before `/join#`, and the whole, in the line that the join page completes in the browser.
pub const PAGE_BASE: &str = "@base@";
/// The whole link there.
pub const PAGE_LINK: &str = "@link@";

/// curl that shows errors only. `-k` leaves names and dates of a self-signed certificate aside; the pin does not.
fn curl(pin: Option<&str>) -> String {
    pin.map_or_else(
        || "curl -fsS".to_owned(),
        |pin| format!("curl -fsS -k --pinnedpubkey {}", quoted(&format!("sha256//{pin}"))),
    )
}

/// As one word of a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
