//! Programs for other machines than this one: arm64 (Raspberry Pi OS, Debian 12) and static programs for machines without Debian.
//!
//! Where the toolchain has the target (`rustup target add …`), cargo builds there and then. Where it has not, and as root, a Debian sid in
//! `target/cross/sid-KEY` does (KEY is a hash of its recipe; it is built beside and then renamed, so that it is complete or absent): its Rust has the
//! standard library for arm64, and can build the one for musl from its sources. The workspace and cargo's home are mounted into it; nothing is
//! downloaded there, because a proxy's certificate is known here only.
//!
//! For arm64 the C library of Debian 12 is laid beside, and everything is compiled and linked against that one: a program never needs a newer
//! C library than the one that it was linked against. For musl, Debian's gcc brings an unwinder that asks glibc for the unwind tables of an address;
//! `find_object.c` gives it that answer from what musl knows.

use std::{
    fmt::Write as _,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use crate::run::{cargo, find, output, root, say, shown, succeeds};

/// Raspberry Pi OS and Debian on arm64.
pub(crate) const ARM64: &str = "aarch64-unknown-linux-gnu";
/// Static programs.
pub(crate) const STATIC: &str = "x86_64-unknown-linux-musl";
/// The two programs, each named as its package.
pub(crate) const PROGRAMS: [&str; 2] = ["olog-hub", "olog-agent"];

/// Targets with packages: the triple, Debian's architecture, and the start of the names of its compiler.
const ARCHITECTURES: [(&str, &str, &str); 3] = [
    ("x86_64-unknown-linux-gnu", "amd64", ""),
    (ARM64, "arm64", "aarch64-linux-gnu-"),
    ("armv7-unknown-linux-gnueabihf", "armhf", "arm-linux-gnueabihf-"),
];

/// In sid from the start. Rust's own packages come with a version of LLVM, the compiler with its C library.
const PACKAGES: &str = "cargo,ca-certificates,gcc,gcc-aarch64-linux-gnu,libc6-dev,musl-tools,rust-src";
/// The C library for arm64 that the programs are linked against.
const SYSROOT: &str = "libc6:arm64 libc6-dev:arm64 libgcc-s1:arm64 linux-libc-dev:arm64 libcrypt-dev:arm64";
/// Run in it once. A mirror may be frozen, so the dates of its lists do not count; their signatures do.
const FINISH: &str = r#"set -e
apt="apt-get -o Acquire::Check-Valid-Until=false --quiet --yes --no-install-recommends"
dpkg --add-architecture arm64
sed 's/ sid / bookworm /; s/^deb /deb [arch=arm64] /' /etc/apt/sources.list > /etc/apt/sources.list.d/bookworm.list
$apt update
$apt install libstd-rust-dev:arm64/sid
mkdir /sysroot /tmp/debs
cd /tmp/debs
apt-get --quiet download $(for one in $SYSROOT; do echo $one/bookworm; done)
for one in *.deb; do dpkg-deb -x "$one" /sysroot; done
cd /unwind
musl-gcc -O2 -Wall -Werror -c find_object.c
cp "$(gcc -print-file-name=libgcc_eh.a)" libunwind.a
ar r libunwind.a find_object.o
rm -rf /tmp/debs /var/lib/apt/lists/* /var/cache/apt/* /usr/share/doc /usr/share/man /usr/share/locale
"#;
const FIND_OBJECT: &str = include_str!("cross/find_object.c");
/// gcc for arm64 with the C library of Debian 12.
const ARM64_CC: &str = "#!/bin/sh\nexec aarch64-linux-gnu-gcc --sysroot=/sysroot \"$@\"\n";

/// Debian's architecture of a target.
pub(crate) fn architecture(target: &str) -> anyhow::Result<&'static str> {
    let found = ARCHITECTURES.iter().find(|(triple, ..)| *triple == target).map(|(_, architecture, _)| *architecture);
    let known: Vec<&str> = ARCHITECTURES.iter().map(|(triple, ..)| *triple).collect();
    found.with_context(|| format!("--target {target}: expected one of {}", known.join(", ")))
}

/// Builds both programs for a target, without symbols, and returns the folder that they are in.
pub(crate) fn programs(target: &str, profile: &str) -> anyhow::Result<PathBuf> {
    let folder = if has_target(target)? { build_here(target, profile)? } else { build_in_sid(target, profile)? };
    Ok(folder.join(target).join(if profile == "dev" { "debug" } else { profile }))
}

/// Has this toolchain the standard library for the target?
fn has_target(target: &str) -> anyhow::Result<bool> {
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let folder = output(rustc.current_dir(root()).args(["--print", "target-libdir", "--target", target]))?;
    Ok(Path::new(folder.trim()).is_dir())
}

fn build_here(target: &str, profile: &str) -> anyhow::Result<PathBuf> {
    let mut build = cargo(build_args(target, profile));
    let prefix = ARCHITECTURES.iter().find(|(triple, ..)| *triple == target).map_or("", |(.., prefix)| *prefix);
    if !prefix.is_empty() {
        let gcc = format!("{prefix}gcc");
        anyhow::ensure!(
            find(&gcc, &[]).is_some(),
            "{gcc} is not there: apt-get install gcc-{}",
            prefix.trim_end_matches('-')
        );
        let variable = format!("CARGO_TARGET_{}_LINKER", target.to_uppercase().replace('-', "_"));
        if std::env::var_os(&variable).is_none() {
            build.env(variable, gcc);
        }
    }
    anyhow::ensure!(
        target != STATIC || find("musl-gcc", &[]).is_some(),
        "musl-gcc is not there: apt-get install musl-tools"
    );
    let folder = build_folder(target);
    build.env("CARGO_TARGET_DIR", &folder).envs(small(profile));
    say(&format!("== {}", shown(&build)));
    anyhow::ensure!(succeeds(&mut build)?, "the programs do not build for {target}");
    Ok(folder)
}

/// One for each target: build scripts are run again when `RUSTC_BOOTSTRAP` changes, so in a shared folder each target would undo the other one's.
fn build_folder(target: &str) -> PathBuf {
    root().join("target/cross").join(format!("build-{target}"))
}

fn build_args<'a>(target: &'a str, profile: &'a str) -> Vec<&'a str> {
    let programs = PROGRAMS.iter().flat_map(|program| ["-p", program]);
    ["build", "--locked", "--bins", "--target", target, "--profile", profile].into_iter().chain(programs).collect()
}

/// What makes a build for a test quick and small. The release profile says this by itself.
fn small(profile: &str) -> Vec<(&'static str, &'static str)> {
    let settings =
        [("CARGO_PROFILE_DEV_DEBUG", "0"), ("CARGO_PROFILE_DEV_STRIP", "symbols"), ("CARGO_INCREMENTAL", "0")];
    if profile == "dev" { settings.to_vec() } else { Vec::new() }
}

fn build_in_sid(target: &str, profile: &str) -> anyhow::Result<PathBuf> {
    let advice = format!("this toolchain has no {target}: `rustup target add {target}`");
    anyhow::ensure!([ARM64, STATIC].contains(&target), "{advice}");
    anyhow::ensure!(
        rustix::process::geteuid().is_root() && find("debootstrap", &[]).is_some(),
        "{advice}; or, as root and with debootstrap, a Debian sid builds it"
    );
    let sid = sid()?;
    let folder = build_folder(target);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut fetches = vec![cargo(["fetch", "--locked"])];
    if target == STATIC {
        // The standard library's own dependencies; cargo reads its manifests only as a nightly one does.
        let manifest = sid.join("usr/lib/rustlib/src/rust/library/sysroot/Cargo.toml");
        let mut fetch = cargo(["fetch", "--manifest-path"]);
        fetch.arg(manifest).env("RUSTC_BOOTSTRAP", "1");
        fetches.push(fetch);
    }
    for fetch in &mut fetches {
        anyhow::ensure!(succeeds(fetch)?, "{} failed", shown(fetch));
    }
    let mut line = format!("cd /work && cargo {}", build_args(target, profile).join(" "));
    if target == STATIC {
        line.push_str(" -Zbuild-std=std,panic_unwind");
    }
    // The mounts are seen by these processes only, and end with them.
    let script = "set -e\nmount --bind \"$1\" \"$4/work\"\nmount --bind \"$2\" \"$4/cargo-home\"\nmount --bind \"$3\" \"$4/target\"\n\
                  mount -t proc proc \"$4/proc\"\nmount --bind /dev \"$4/dev\"\nroot=$4\nshift 4\nexec chroot \"$root\" \"$@\"\n";
    let mut build = Command::new("unshare");
    build.args(["--mount", "--", "sh", "-c", script, "sh"]).args([&root(), &cargo_home()?, &folder, &sid]);
    build.args(["env", "-i", "PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/root", "CARGO_HOME=/cargo-home"]);
    build.args(["CARGO_TARGET_DIR=/target", "CARGO_NET_OFFLINE=true"]);
    if target == STATIC {
        build.args(["RUSTC_BOOTSTRAP=1", "CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER=musl-gcc"]);
        build.arg("CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_RUSTFLAGS=-C link-self-contained=no -L /unwind");
    } else {
        build.args(["CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=arm64-cc", "CC_aarch64_unknown_linux_gnu=arm64-cc"]);
        build.arg("AR_aarch64_unknown_linux_gnu=aarch64-linux-gnu-ar");
    }
    build.args(small(profile).iter().map(|(key, value)| format!("{key}={value}")));
    build.args(["sh", "-c", &line]);
    say(&format!("== in {}: {line}", sid.display()));
    anyhow::ensure!(succeeds(&mut build)?, "the programs do not build for {target}");
    Ok(folder)
}

fn cargo_home() -> anyhow::Result<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home).context("neither CARGO_HOME nor HOME is set")
}

/// The C library of Debian 12 for arm64, as qemu needs it to run a program.
pub(crate) fn sysroot() -> anyhow::Result<PathBuf> {
    Ok(sid()?.join("sysroot"))
}

/// The Debian that builds; made if it is not there yet.
fn sid() -> anyhow::Result<PathBuf> {
    let folder = root().join("target/cross");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut key = String::new();
    for byte in Sha256::digest([PACKAGES, SYSROOT, FINISH, FIND_OBJECT, ARM64_CC].join("\n")).iter().take(6) {
        write!(key, "{byte:02x}")?;
    }
    let sid = folder.join(format!("sid-{key}"));
    if sid.exists() {
        return Ok(sid);
    }
    // One of another recipe, and one that was not finished.
    for entry in fs::read_dir(&folder)?.filter_map(Result::ok) {
        if entry.file_name().to_string_lossy().starts_with("sid-") {
            fs::remove_dir_all(entry.path()).with_context(|| format!("cannot remove {}", entry.path().display()))?;
        }
    }
    let new = folder.join("sid-new");
    let mut debootstrap = Command::new("debootstrap");
    debootstrap.args(["--variant=minbase", &format!("--include={PACKAGES}"), "sid"]).arg(&new);
    say(&format!("== {}", shown(&debootstrap)));
    anyhow::ensure!(succeeds(debootstrap.stdout(std::process::Stdio::null()))?, "debootstrap made no Debian sid");
    for (name, text, mode) in
        [("usr/local/bin/arm64-cc", ARM64_CC, 0o755), ("unwind/find_object.c", FIND_OBJECT, 0o644)]
    {
        let path = new.join(name);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    }
    for place in ["work", "cargo-home", "target"] {
        fs::create_dir_all(new.join(place))?;
    }
    let mut finish = Command::new("chroot");
    finish.arg(&new).args(["env", &format!("SYSROOT={SYSROOT}"), "DEBIAN_FRONTEND=noninteractive", "sh", "-c", FINISH]);
    output(finish.stdin(std::process::Stdio::null())).context("the new Debian sid is not finished")?;
    fs::rename(&new, &sid).with_context(|| format!("cannot rename {}", new.display()))?;
    Ok(sid)
}
