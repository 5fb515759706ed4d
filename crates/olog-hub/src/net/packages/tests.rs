use std::{io::Write as _, path::Path};

use flate2::{Compression, write::GzEncoder};
use olog_push::words::{Language, Localizer};

use super::*;

/// A small package, as `dpkg-deb -Zgzip` makes it.
pub(crate) fn deb(package: &str, version: &str, architecture: &str) -> Vec<u8> {
    let control =
        format!("Package: {package}\nVersion: {version}\nArchitecture: {architecture}\nDescription: a test\n");
    let packed = |files: &[(&str, &str)]| {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (name, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, text.as_bytes()).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap()
    };
    let mut out = b"!<arch>\n".to_vec();
    for (name, content) in [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar.gz", packed(&[("./md5sums", ""), ("./control", &control)])),
        ("data.tar.gz", packed(&[("./usr/bin/olog-agent", "a program")])),
    ] {
        writeln!(out, "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`", 0, 0, 0, 100_644, content.len()).unwrap();
        out.extend(&content);
        if content.len() % 2 == 1 {
            out.push(b'\n');
        }
    }
    out
}

/// A package that dpkg-deb made with xz.
pub(crate) fn xz_deb() -> &'static [u8] {
    include_bytes!("packed-by-xz.deb")
}

/// The bytes in parts, as they come through a socket.
fn body(bytes: &[u8]) -> impl Stream<Item = Result<Bytes, &'static str>> + Unpin {
    let parts: Vec<_> = bytes.chunks(100).map(|part| Ok(Bytes::copy_from_slice(part))).collect();
    futures_util::stream::iter(parts)
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder.join("packages")).into_iter().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_package_is_offered_with_its_hash_also_after_a_restart_and_replaced_by_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let packages = Packages::load(dir.path()).await;
    assert!(packages.list().is_empty());
    assert!(files(dir.path()).is_empty(), "reading makes no folder");
    packages.add(body(&deb("olog-agent", "0.1.0-1", "amd64"))).await.unwrap();
    packages.add(body(&deb("olog-agent", "0.1.0-1", "arm64"))).await.unwrap();
    let newer = deb("olog-agent", "0.2.0-1", "arm64");
    let offered = packages.add(body(&newer)).await.unwrap();
    assert_eq!(offered.name, "olog-agent_0.2.0-1_arm64.deb");
    let hash: String = Sha256::digest(&newer).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((offered.sha256, offered.size), (hash, newer.len() as u64));
    let names = |packages: &Packages| packages.list().iter().map(|one| one.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&packages), ["olog-agent_0.1.0-1_amd64.deb", "olog-agent_0.2.0-1_arm64.deb"]);
    let again = Packages::load(dir.path()).await;
    assert_eq!(again.list(), packages.list());
    assert_eq!(again.remove("armhf").await.unwrap(), None);
    assert_eq!(again.remove("../amd64").await.unwrap(), None);
    again.remove("amd64").await.unwrap().unwrap();
    assert_eq!(names(&again), ["olog-agent_0.2.0-1_arm64.deb"]);
    assert_eq!(files(dir.path()), ["olog-agent_arm64.deb"]);
}

#[tokio::test]
async fn what_is_not_a_package_of_the_agent_is_refused_in_words_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let packages = Packages::load(dir.path()).await;
    let good = deb("olog-agent", "0.1.0-1", "amd64");
    let cut = good.get(..good.len() / 2).unwrap().to_vec();
    for (bytes, words) in [
        (b"#!/bin/sh".to_vec(), "not a Debian package"),
        (cut, "cut off"),
        (deb("olog-hub", "0.1.0-1", "amd64"), "the package olog-hub"),
        (deb("olog-agent", "0.1.0-1", "riscv64"), "riscv64: expected one of amd64, arm64, armhf"),
        (deb("olog-agent", "0.1.0-1", "all"), "all: expected"),
        (deb("olog-agent", "0/../1", "amd64"), "version"),
    ] {
        let error = packages.add(body(&bytes)).await.unwrap_err().to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
    let broken = futures_util::stream::iter([Ok(Bytes::from(good)), Err("the client went away")]);
    let error = packages.add(broken).await.unwrap_err().to_string();
    assert!(error.contains("the client went away"), "{error}");
    let endless = futures_util::stream::repeat_with(|| Ok::<_, String>(Bytes::from(vec![0; 16 << 20])));
    assert!(matches!(packages.add(endless).await, Err(PackageError::TooLarge)));
    assert!(packages.list().is_empty());
    assert_eq!(files(dir.path()), Vec::<String>::new());
}

#[tokio::test]
async fn what_a_crash_left_unfinished_is_never_offered() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("packages");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join(".new-abc123"), deb("olog-agent", "0.1.0-1", "amd64")).unwrap();
    fs::write(folder.join("olog-agent_amd64.deb"), "half").unwrap();
    // A right package under a wrong name.
    fs::write(folder.join("olog-agent_arm64.deb"), deb("olog-agent", "0.1.0-1", "amd64")).unwrap();
    assert!(Packages::load(dir.path()).await.list().is_empty());
    assert_eq!(files(dir.path()), ["olog-agent_amd64.deb", "olog-agent_arm64.deb"]);
}

#[tokio::test]
async fn downloads_are_bounded_and_named_exactly() {
    let dir = tempfile::tempdir().unwrap();
    let packages = Packages::load(dir.path()).await;
    let name = packages.add(body(&deb("olog-agent", "0.1.0-1", "amd64"))).await.unwrap().name;
    for other in ["", "olog-agent_amd64.deb", "../olog.db", "..", "/etc/passwd", "./olog-agent_0.1.0-1_amd64.deb"] {
        assert_eq!(packages.download(other).await.unwrap_err(), NoDownload::Unknown, "{other}");
    }
    let mut held = Vec::new();
    for _ in 0..DOWNLOADS_MAX {
        held.push(packages.download(&name).await.unwrap());
    }
    assert_eq!(packages.download(&name).await.unwrap_err(), NoDownload::Busy);
    held.pop();
    assert!(packages.download(&name).await.is_ok());
}

#[test]
fn a_device_is_behind_what_the_hub_is_or_offers() {
    let offered = |version: &str| Offered {
        name: String::new(),
        architecture: "amd64".to_owned(),
        version: version.to_owned(),
        size: 0,
        sha256: String::new(),
        added_at: Timestamp(0),
    };
    let own = env!("CARGO_PKG_VERSION");
    let newest = |versions: &[&str]| newest(&versions.iter().map(|one| offered(one)).collect::<Vec<_>>()).unwrap();
    assert_eq!(newest(&[]).to_string(), own);
    assert_eq!(newest(&["0.0.1-1", "nonsense"]).to_string(), own);
    assert_eq!(newest(&["99.0.0~rc1-2"]).to_string(), "99.0.0-rc1");
    let newest = newest(&["99.1.0-1"]);
    for (version, expected) in [
        (Some("99.1.0"), None),
        (Some("99.2.0"), None),
        (Some("99.0.9"), Some("99.1.0")),
        (Some("olog.py"), None),
        (None, None),
    ] {
        assert_eq!(behind(version, Some(&newest)).as_deref(), expected, "{version:?}");
    }
}

/// What a shell makes of a line whose `curl` answers with `served`, and whose script ends early because `id` is nobody's.
fn shell(line: &str, served: &str) -> (i32, String) {
    let dir = tempfile::tempdir().unwrap();
    let program = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    };
    fs::write(dir.path().join("served"), served).unwrap();
    program("curl", &format!("#!/bin/sh\ncat {}\n", dir.path().join("served").display()));
    program("id", "#!/bin/sh\necho 1000\n");
    let path = format!("{}:/usr/bin:/bin", dir.path().display());
    // Without sudo: the script must run as it is.
    program("sudo", "#!/bin/sh\nexec \"$@\"\n");
    let out = std::process::Command::new("/bin/sh").args(["-c", line]).env("PATH", path).output().unwrap();
    (out.status.code().unwrap(), String::from_utf8_lossy(&out.stderr).into_owned())
}

#[test]
fn the_line_runs_the_very_script_that_it_was_made_for_and_no_other() {
    for (language, nothing) in [(Language::En, "Nothing was installed"), (Language::ZhCn, "没有安装任何东西")] {
        let say = Localizer { language, timezone: chrono_tz::Tz::UTC, now: Timestamp(0) };
        let offered = [Offered {
            name: "olog-agent_0.1.0-1_amd64.deb".to_owned(),
            architecture: "amd64".to_owned(),
            version: "0.1.0-1".to_owned(),
            size: 1,
            sha256: "00".repeat(32),
            added_at: Timestamp(0),
        }];
        let script = install::script(&offered, Some("cGlu"), &say);
        assert!(!script.contains('@'), "a placeholder is left: {script}");
        assert!(script.ends_with('\n') && !script.ends_with("\n\n"));
        let line = install::line("https://h:8765", "https://h:8765/join#it's", &script, Some("cGlu"), &say);
        assert!(!line.contains('\n'), "{line}");
        assert!(line.contains("-k --pinnedpubkey 'sha256//cGlu' 'https://h:8765/install'"), "{line}");
        let (code, said) = shell(&line, &script);
        let root = say.text("cli-install-root", &[]);
        assert_eq!((code, said.trim()), (1, format!("olog: {root}").as_str()));
        let (code, said) = shell(&line, &script.replace("amd64", "arm64"));
        assert!(code != 0 && said.contains(nothing), "{code} {said}");
        // In clear nothing is pinned; the hash still holds.
        let plain = install::script(&offered, None, &say);
        assert!(!plain.contains("-k"), "{plain}");
    }
}
