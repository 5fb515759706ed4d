//! `cargo xtask sbom`: what each program is made of, as CycloneDX (JSON), made by cargo-cyclonedx. A package has it beside its documentation.
//!
//! The same sources give the same bytes: the time in it is that of the sources, and it has no serial number.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;

use crate::{
    programs::{PACKAGES, source_date},
    run::{output, root, say},
    tools::CYCLONEDX,
};

/// Where they go.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SbomArgs {
    /// The folder [default: target/sbom]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Writes one for each program.
pub(crate) fn sbom(args: &SbomArgs) -> anyhow::Result<bool> {
    let out = args.out.clone().unwrap_or_else(|| root().join("target/sbom"));
    fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    for package in PACKAGES {
        let file = out.join(format!("{package}.cdx.json"));
        fs::write(&file, of_package(package)?).with_context(|| format!("cannot write {}", file.display()))?;
        say(&file.display().to_string());
    }
    Ok(true)
}

/// The text of one program's.
pub(crate) fn of_package(package: &str) -> anyhow::Result<String> {
    let manifest = root().join("crates").join(package).join("Cargo.toml");
    // cargo-cyclonedx writes beside every manifest of the workspace.
    let name = format!("sbom-{}", std::process::id());
    let mut command = Command::new(CYCLONEDX.path()?);
    command.current_dir(root()).args(["cyclonedx", "--format", "json", "--spec-version", "1.5", "--quiet"]);
    command.args(["--override-filename", &name, "--manifest-path"]).arg(&manifest);
    command.env("SOURCE_DATE_EPOCH", source_date()?.to_string());
    let done = output(&mut command);
    let written = fs::read_to_string(manifest.with_file_name(format!("{name}.json")));
    remove_written(&root(), &format!("{name}.json"))?;
    done?;
    let text = written.with_context(|| format!("cargo-cyclonedx wrote nothing for {package}"))?;
    without_folder(&text, &root())
}

fn remove_written(root: &Path, name: &str) -> anyhow::Result<()> {
    let crates = fs::read_dir(root.join("crates"))?.filter_map(Result::ok).map(|entry| entry.path());
    for folder in crates.chain([root.join("tests"), root.join("xtask")]) {
        let file = folder.join(name);
        if file.exists() {
            fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
        }
    }
    Ok(())
}

/// Without the folder in which it was made and without its serial number.
fn without_folder(text: &str, root: &Path) -> anyhow::Result<String> {
    let text = text.replace(&format!("{}/", root.display()), "").replace(&root.display().to_string(), ".");
    let mut sbom: serde_json::Value = serde_json::from_str(&text).context("cargo-cyclonedx wrote no JSON")?;
    sbom.as_object_mut().and_then(|sbom| sbom.remove("serialNumber"));
    Ok(serde_json::to_string_pretty(&sbom)? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_names_neither_the_folder_nor_the_run() {
        let text = r#"{"serialNumber": "urn:uuid:1", "ref": "path+file:///home/me/olog/crates/x#0.1.0", "root": "/home/me/olog"}"#;
        let text = without_folder(text, Path::new("/home/me/olog")).unwrap();
        let expected = serde_json::json!({"ref": "path+file://crates/x#0.1.0", "root": "."});
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), expected);
    }
}
