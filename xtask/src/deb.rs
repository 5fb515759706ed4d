//! `cargo xtask deb`: the two packages for Debian, made by cargo-deb.
//!
//! The manifests of `olog-hub` and `olog-agent` and the folder `packaging/` say what is in them. This module builds the programs (or takes those
//! that were built for the tests), puts them where cargo-deb looks, and adds what cargo-deb leaves out: `md5sums`, the only sums that `dpkg --verify` and `debsums` read,
//! and what the program is made of (`olog-NAME.cdx.json`).
//!
//! The same sources give the same bytes, wherever and whenever the package is made: every time in it is that of the sources (`SOURCE_DATE_EPOCH`, else the
//! last commit), a program of the release profile names no folder of the machine that built it, and one thread compresses.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;

use crate::{
    cross,
    programs::{PACKAGES, source_date},
    run::{cargo, find, output, root, say, shown, succeeds},
    sbom,
    tools::DEB,
};

/// How to make them.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DebArgs {
    /// Instead of for this machine; aarch64-unknown-linux-gnu: for Debian 12 on arm64 (Raspberry Pi OS). The toolchain needs the target
    /// (`rustup target add`), or, as root, a Debian sid is made that has it
    #[arg(long, value_name = "TRIPLE")]
    pub(crate) target: Option<String>,
    /// The profile of the programs; "dev" builds quickly, but large programs
    #[arg(long, default_value = "release")]
    pub(crate) profile: String,
    /// Instead of the version in the manifest: to try an upgrade
    #[arg(long, value_name = "VERSION")]
    pub(crate) deb_version: Option<String>,
    /// Where the packages go [default: target/debian]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

/// Makes both packages, and prints where they are and how large.
pub(crate) fn deb(args: &DebArgs) -> anyhow::Result<bool> {
    for file in packages(args)? {
        let size = fs::metadata(&file).with_context(|| format!("cannot read {}", file.display()))?.len();
        let installed = output(Command::new("dpkg-deb").arg("--field").arg(&file).arg("Installed-Size"))?;
        let installed: u32 = installed.trim().parse().context("Installed-Size is no number")?;
        let mib = |bytes: f64| bytes / f64::from(1 << 20);
        let sizes = (mib(size as f64), mib(f64::from(installed) * 1024.0));
        say(&format!("{} ({:.1} MiB; installed {:.1} MiB)", file.display(), sizes.0, sizes.1));
    }
    Ok(true)
}

/// Makes both packages and returns their paths.
pub(crate) fn packages(args: &DebArgs) -> anyhow::Result<Vec<PathBuf>> {
    // cargo-deb uses it to find out which version of the C library a program needs.
    anyhow::ensure!(find("dpkg-shlibdeps", &[]).is_some(), "dpkg-shlibdeps is not there: apt-get install dpkg-dev");
    let cargo_deb = DEB.path()?;
    let target = target()?;
    // cargo-deb packs programs from `release/` of a target folder. So that every profile gives the same package, it gets its own
    // target folder.
    let stage = target.join("deb");
    let (built, programs) = match &args.target {
        Some(triple) => {
            cross::architecture(triple)?;
            (cross::programs(triple, &args.profile)?, stage.join(triple).join("release"))
        }
        None => (build(&target, &args.profile)?, stage.join("release")),
    };
    fs::create_dir_all(&programs).with_context(|| format!("cannot make {}", programs.display()))?;
    for program in PACKAGES {
        fs::copy(built.join(program), programs.join(program)).with_context(|| format!("cannot copy {program}"))?;
    }
    // cargo runs in the workspace's folder, and the caller may be in another one.
    let out = std::path::absolute(args.out.clone().unwrap_or_else(|| target.join("debian")))?;
    fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    PACKAGES.iter().map(|package| pack(&cargo_deb, package, &stage, &out, args)).collect()
}

/// Builds the programs for this machine.
fn build(target: &Path, profile: &str) -> anyhow::Result<PathBuf> {
    let mut build = cargo(["build", "--profile", profile]);
    build.args(PACKAGES.iter().flat_map(|package| ["-p", package]));
    // Another profile is for trying: it shares what it builds with the tests.
    if profile == "release" {
        let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
        let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo"))).unwrap_or_default();
        let flags = remapped(&[(&root(), "/olog"), (&home, "/cargo")]);
        let given = std::env::var("RUSTFLAGS").unwrap_or_default();
        build.env("RUSTFLAGS", format!("{given} {}", flags.rust).trim()).env("CFLAGS", flags.c);
    }
    say(&format!("== {}", shown(&build)));
    anyhow::ensure!(succeeds(&mut build)?, "the programs do not build");
    Ok(target.join(if profile == "dev" { "debug" } else { profile }))
}

/// Flags for compilers that put other names in place of folders.
struct Remapped {
    rust: String,
    c: String,
}

fn remapped(folders: &[(&Path, &str)]) -> Remapped {
    let flags = |flag: &str| {
        let flags = folders.iter().map(|(from, to)| format!("{flag}={}={to}", from.display()));
        flags.collect::<Vec<_>>().join(" ")
    };
    Remapped { rust: flags("--remap-path-prefix"), c: flags("-ffile-prefix-map") }
}

fn pack(cargo_deb: &Path, package: &str, stage: &Path, out: &Path, args: &DebArgs) -> anyhow::Result<PathBuf> {
    let mut pack = cargo(["deb"]);
    let tools = cargo_deb.parent().map(Path::to_path_buf);
    let path = std::env::var_os("PATH").unwrap_or_default();
    pack.env("PATH", std::env::join_paths(tools.into_iter().chain(std::env::split_paths(&path)))?);
    pack.env("CARGO_TARGET_DIR", stage).env("SOURCE_DATE_EPOCH", source_date()?.to_string());
    pack.args(["--package", package, "--no-build", "--quiet", "--output"]).arg(out);
    match &args.target {
        // Its programs have no symbols, and this machine's `strip` may not know them.
        Some(triple) => pack.args(["--no-strip", "--target", triple]),
        None => pack.arg("--strip"),
    };
    if args.profile == "dev" {
        pack.arg("--fast");
    }
    if let Some(version) = &args.deb_version {
        pack.args(["--deb-version", version]);
    }
    // It prints the path of the package.
    let printed = output(&mut pack)?;
    let file = printed.lines().last().map(PathBuf::from).with_context(|| format!("{} said nothing", shown(&pack)))?;
    let depends = args.target.as_ref().map(|triple| {
        let program = stage.join(triple).join("release").join(package);
        c_library(&program).map(|(major, minor)| format!("libc6 (>= {major}.{minor}), libgcc-s1 (>= 4.2)"))
    });
    let parts = Finish {
        is_fast: args.profile == "dev",
        depends: depends.transpose()?,
        sbom: Some((package, sbom::of_package(package)?)),
        at: source_date()?,
    };
    finish(&file, &parts)?;
    Ok(file)
}

/// The version of the C library that a program needs: the highest that one of its symbols names.
pub(crate) fn c_library(program: &Path) -> anyhow::Result<(u32, u32)> {
    let versions = output(Command::new("readelf").args(["--version-info", "--wide"]).arg(program))?;
    let version = |word: &str| {
        let (major, minor) = word.strip_prefix("GLIBC_")?.split_once('.')?;
        Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
    };
    let highest = versions.split_whitespace().filter_map(version).max();
    highest.with_context(|| format!("{} names no version of the C library", program.display()))
}

/// What is done to a package of cargo-deb.
struct Finish<'a> {
    /// Compressed little.
    is_fast: bool,
    /// In place of what cargo-deb could not find out about the program of another machine.
    depends: Option<String>,
    /// The package's name, and what its program is made of.
    sbom: Option<(&'a str, String)>,
    /// The time of everything in it, in seconds.
    at: u64,
}

/// Replaces the sums of cargo-deb, which dpkg does not know, by `md5sums`. Configuration files have none: they are the user's to change.
fn finish(package: &Path, parts: &Finish<'_>) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (tree, control) = (folder.path(), folder.path().join("DEBIAN"));
    output(Command::new("dpkg-deb").arg("--raw-extract").arg(package).arg(tree))?;
    if let Some((name, sbom)) = &parts.sbom {
        let docs = tree.join("usr/share/doc").join(name);
        fs::create_dir_all(&docs)?;
        fs::write(docs.join(format!("{name}.cdx.json")), sbom)?;
    }
    if let Some(depends) = &parts.depends {
        let file = control.join("control");
        let text = fs::read_to_string(&file)?;
        fs::write(&file, with_depends(&text, depends))?;
    }
    let conffiles = fs::read_to_string(control.join("conffiles")).unwrap_or_default();
    let mut files: Vec<String> = Vec::new();
    let mut folders = vec![tree.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next)? {
            let (path, kind) = entry.map(|entry| (entry.path(), entry.file_type()))?;
            let name = path.strip_prefix(tree)?.to_string_lossy().into_owned();
            if kind.as_ref().is_ok_and(fs::FileType::is_dir) && path != control {
                folders.push(path);
            } else if kind?.is_file() && !conffiles.lines().any(|line| line == format!("/{name}")) {
                files.push(name);
            }
        }
    }
    files.sort();
    let sums = output(Command::new("md5sum").current_dir(tree).arg("--").args(&files))?;
    fs::write(control.join("md5sums"), sums)?;
    let unknown_to_dpkg = control.join("sha256sums");
    if unknown_to_dpkg.exists() {
        fs::remove_file(unknown_to_dpkg)?;
    }
    set_times(tree, parts.at)?;
    let mut build = Command::new("dpkg-deb");
    build.env("SOURCE_DATE_EPOCH", parts.at.to_string()).arg("--threads-max=1");
    build.args(if parts.is_fast { &["-Zgzip", "-z1"][..] } else { &["-Zxz"] }).args(["--root-owner-group", "--build"]);
    output(build.arg(tree).arg(package))?;
    Ok(())
}

/// Every file and folder gets this time.
fn set_times(path: &Path, at: u64) -> anyhow::Result<()> {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            set_times(&entry?.path(), at)?;
        }
    }
    let time = Timespec { tv_sec: i64::try_from(at)?, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
        .with_context(|| format!("cannot set the time of {}", path.display()))
}

/// The control file with these libraries among what the package depends on.
fn with_depends(control: &str, libraries: &str) -> String {
    let is_library =
        |part: &&str| ["libc6", "libgcc-s1"].iter().any(|name| part.split([' ', ':']).next() == Some(name));
    let line = |line: &str| {
        line.strip_prefix("Depends:").map_or_else(
            || line.to_owned(),
            |depends| {
                let others = depends.split(',').map(str::trim).filter(|part| !part.is_empty() && !is_library(part));
                format!("Depends: {}", std::iter::once(libraries).chain(others).collect::<Vec<_>>().join(", "))
            },
        )
    };
    control.lines().map(line).collect::<Vec<_>>().join("\n") + "\n"
}

/// Cargo's target folder.
fn target() -> anyhow::Result<PathBuf> {
    let told = output(&mut cargo(["metadata", "--format-version", "1", "--no-deps", "--offline"]))?;
    let told: serde_json::Value = serde_json::from_str(&told).context("cargo metadata makes no sense")?;
    let folder = told.get("target_directory").and_then(serde_json::Value::as_str);
    folder.map(PathBuf::from).context("cargo does not say where it builds")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_libraries_of_another_machine_stand_beside_what_else_is_needed() {
        let control = "Package: x\nDepends: ca-certificates, libc6 (>= 2.2), systemd\nDescription: x\n one: two\n";
        let expected = "Package: x\nDepends: libc6 (>= 2.34), ca-certificates, systemd\nDescription: x\n one: two\n";
        assert_eq!(with_depends(control, "libc6 (>= 2.34)"), expected);
    }

    #[test]
    fn a_package_gets_the_sums_of_its_files_that_are_no_configuration() {
        if find("dpkg-deb", &[]).is_none() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let (tree, package) = (folder.path().join("tree"), folder.path().join("x.deb"));
        for (file, text) in [
            (
                "DEBIAN/control",
                "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.com>\nDescription: x\n",
            ),
            ("DEBIAN/conffiles", "/etc/x.toml\n"),
            ("DEBIAN/sha256sums", "0 usr/bin/x\n"),
            ("etc/x.toml", "a = 1\n"),
            ("usr/bin/x", ""),
            ("usr/share/doc/x/b", "b"),
        ] {
            let file = tree.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        output(Command::new("dpkg-deb").args(["--root-owner-group", "--build"]).arg(&tree).arg(&package)).unwrap();
        let libraries = Some("libc6 (>= 2.34)".to_owned());
        let parts = |at| Finish { is_fast: true, depends: libraries.clone(), sbom: None, at };
        finish(&package, &parts(1_700_000_000)).unwrap();
        let sums = output(Command::new("dpkg-deb").arg("--info").arg(&package).arg("md5sums")).unwrap();
        assert_eq!(
            sums,
            "d41d8cd98f00b204e9800998ecf8427e  usr/bin/x\n92eb5ffee6ae2fec3ad71c777531578f  usr/share/doc/x/b\n"
        );
        let info = output(Command::new("dpkg-deb").arg("--info").arg(&package)).unwrap();
        assert!(!info.contains("sha256sums"), "{info}");
        let listed = output(Command::new("dpkg-deb").arg("--contents").arg(&package)).unwrap();
        assert!(listed.contains("root/root") && listed.contains("./etc/x.toml"), "{listed}");
    }
    #[test]
    fn the_same_files_give_the_same_package_in_another_folder_at_another_time() {
        if find("dpkg-deb", &[]).is_none() {
            return;
        }
        let made = |names: [&str; 3], age: u64| {
            let folder = tempfile::tempdir().unwrap();
            let (tree, package) = (folder.path().join("tree"), folder.path().join("x.deb"));
            let control = "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.com>\nDescription: x\n";
            fs::create_dir_all(tree.join("DEBIAN")).unwrap();
            fs::write(tree.join("DEBIAN/control"), control).unwrap();
            fs::create_dir_all(tree.join("usr/share/x")).unwrap();
            for name in names {
                fs::write(tree.join("usr/share/x").join(name), name).unwrap();
            }
            set_times(&tree, age).unwrap();
            output(Command::new("dpkg-deb").args(["--root-owner-group", "--build"]).arg(&tree).arg(&package)).unwrap();
            let sbom = Some(("x", "{}\n".to_owned()));
            finish(&package, &Finish { is_fast: false, depends: None, sbom, at: 1_700_000_000 }).unwrap();
            let listed = output(Command::new("dpkg-deb").arg("--contents").arg(&package)).unwrap();
            assert!(listed.contains("usr/share/doc/x/x.cdx.json"), "{listed}");
            fs::read(&package).unwrap()
        };
        assert!(made(["a", "b", "c"], 1_600_000_000) == made(["c", "a", "b"], 1_750_000_000));
    }

    #[test]
    fn the_compilers_put_other_names_in_place_of_folders() {
        let flags = remapped(&[(Path::new("/home/me/olog"), "/olog"), (Path::new("/home/me/.cargo"), "/cargo")]);
        assert_eq!(flags.rust, "--remap-path-prefix=/home/me/olog=/olog --remap-path-prefix=/home/me/.cargo=/cargo");
        assert_eq!(flags.c, "-ffile-prefix-map=/home/me/olog=/olog -ffile-prefix-map=/home/me/.cargo=/cargo");
    }
}
