//! `cargo xtask deb`: the two packages for Debian, by cargo-deb.
//!
//! What is in them stands in the manifests of `olog-hub` and `olog-agent` and in `packaging/`; here is only how the programs get
//! there: built, or as they were built for the tests, and put where cargo-deb looks for what it packs.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::run::{cargo, find, output, root, say, shown, succeeds};

/// What packs. A newer one may ask for another form of the metadata.
const CARGO_DEB: &str = "3.8.0";
/// The packages, each named as its program and its crate.
const PACKAGES: [&str; 2] = ["olog-hub", "olog-agent"];

/// How to make them.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DebArgs {
    /// The profile of the programs; "dev": as the tests build them, quickly and large
    #[arg(long, default_value = "release")]
    pub(crate) profile: String,
    /// Instead of the version in the manifest: to try an upgrade
    #[arg(long, value_name = "VERSION")]
    pub(crate) deb_version: Option<String>,
    /// Where the packages go [default: target/debian]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

/// Makes both, and says where they are.
pub(crate) fn deb(args: &DebArgs) -> anyhow::Result<bool> {
    for file in packages(args)? {
        let size = std::fs::metadata(&file).with_context(|| format!("cannot read {}", file.display()))?.len();
        say(&format!("{} ({:.1} MiB)", file.display(), size as f64 / f64::from(1 << 20)));
    }
    Ok(true)
}

/// Makes both: where they are.
pub(crate) fn packages(args: &DebArgs) -> anyhow::Result<Vec<PathBuf>> {
    // Which version of the C library a program needs is read with this.
    anyhow::ensure!(find("dpkg-shlibdeps", &[]).is_some(), "dpkg-shlibdeps is not there: apt-get install dpkg-dev");
    let cargo_deb = cargo_deb()?;
    let target = target()?;
    let mut build = cargo(["build", "--profile", &args.profile]);
    build.args(PACKAGES.iter().flat_map(|package| ["-p", package]));
    say(&format!("== {}", shown(&build)));
    anyhow::ensure!(succeeds(&mut build)?, "the programs do not build");

    // cargo-deb packs what was built for a release. So that another profile gets the same package, it is shown a target
    // folder of its own.
    let stage = target.join("deb");
    let programs = stage.join("release");
    std::fs::create_dir_all(&programs).with_context(|| format!("cannot make {}", programs.display()))?;
    let built = target.join(if args.profile == "dev" { "debug" } else { &args.profile });
    for program in PACKAGES {
        std::fs::copy(built.join(program), programs.join(program)).with_context(|| format!("cannot copy {program}"))?;
    }
    // cargo runs in the workspace's folder, whoever asks may stand elsewhere.
    let out = std::path::absolute(args.out.clone().unwrap_or_else(|| target.join("debian")))?;
    std::fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    PACKAGES.iter().map(|package| pack(&cargo_deb, package, &stage, &out, args)).collect()
}

fn pack(cargo_deb: &Path, package: &str, stage: &Path, out: &Path, args: &DebArgs) -> anyhow::Result<PathBuf> {
    let mut pack = cargo(["deb"]);
    let tools = cargo_deb.parent().map(Path::to_path_buf);
    let path = std::env::var_os("PATH").unwrap_or_default();
    pack.env("PATH", std::env::join_paths(tools.into_iter().chain(std::env::split_paths(&path)))?);
    pack.env("CARGO_TARGET_DIR", stage);
    pack.args(["--package", package, "--no-build", "--strip", "--quiet", "--output"]).arg(out);
    if args.profile == "dev" {
        pack.arg("--fast");
    }
    if let Some(version) = &args.deb_version {
        pack.args(["--deb-version", version]);
    }
    // It prints the path of the package.
    let printed = output(&mut pack)?;
    let file = printed.lines().last().map(PathBuf::from).with_context(|| format!("{} said nothing", shown(&pack)))?;
    Ok(file)
}

/// cargo-deb: the one that is there, else one of our own.
fn cargo_deb() -> anyhow::Result<PathBuf> {
    let tools = root().join("target/tools");
    if let Some(found) = find("cargo-deb", &[tools.join("bin")]) {
        return Ok(found);
    }
    let mut install = cargo(["install", "--locked", "--version", CARGO_DEB, "cargo-deb", "--root"]);
    install.arg(&tools);
    say(&format!("== {}", shown(&install)));
    anyhow::ensure!(succeeds(&mut install)?, "cargo-deb cannot be installed");
    find("cargo-deb", &[tools.join("bin")]).context("cargo-deb was installed and is not there")
}

/// Where cargo builds.
fn target() -> anyhow::Result<PathBuf> {
    let told = output(&mut cargo(["metadata", "--format-version", "1", "--no-deps", "--offline"]))?;
    let told: serde_json::Value = serde_json::from_str(&told).context("cargo metadata makes no sense")?;
    let folder = told.get("target_directory").and_then(serde_json::Value::as_str);
    folder.map(PathBuf::from).context("cargo does not say where it builds")
}
