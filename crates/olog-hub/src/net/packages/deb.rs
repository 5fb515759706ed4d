//! Reads of a Debian package what the hub has to know: which package it is, which version, for which architecture.
//!
//! A `.deb` is an `ar` archive of three members: `debian-binary`, `control.tar.*` and `data.tar.*`. The whole file is walked, so that one that was
//! cut off is found out; of its contents only the file `control` is unpacked. Nothing is allocated by a size that the file claims: sizes are
//! bounded first, also that of what is unpacked. No program of Debian is needed, because a hub may run without it.

use std::io::{self, Read};

use flate2::read::GzDecoder;
use lzma_rust2::XzReader;

/// The start of every `ar` archive.
const MAGIC: &[u8] = b"!<arch>\n";
/// A member's header: the name in 16 bytes, the size in decimal digits from byte 48, and two bytes that end it.
const HEADER: usize = 60;
const HEADER_END: &[u8] = b"`\n";
/// The largest compressed `control.tar.*`, and the most that it may unpack to.
const CONTROL_MAX: u64 = 1 << 20;
/// Memory for unpacking xz, in KiB; `xz -9` needs 65 MiB.
const XZ_MEMORY_KIB: u32 = 96 << 10;
/// The longest version.
const VERSION_MAX: usize = 64;

/// What a package says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Control {
    pub(super) package: String,
    pub(super) version: String,
    pub(super) architecture: String,
}

/// Why a file is no package that can be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum DebError {
    #[error("it is not a Debian package")]
    NotADeb,
    #[error("it is cut off")]
    CutOff,
    #[error("{0}")]
    Control(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads a whole package.
pub(super) fn control(file: impl Read) -> Result<Control, DebError> {
    let mut file = io::BufReader::new(file);
    let mut magic = [0; MAGIC.len()];
    if read_full(&mut file, &mut magic)? != MAGIC.len() || magic != MAGIC {
        return Err(DebError::NotADeb);
    }
    let (mut found, mut n, mut has_data) = (None, 0, false);
    while let Some((name, size)) = header(&mut file)? {
        if n == 0 && name != "debian-binary" {
            return Err(DebError::NotADeb);
        }
        let mut member = (&mut file).take(size);
        if let Some(compression) = name.strip_prefix("control.tar") {
            if size > CONTROL_MAX {
                return Err(DebError::Control("its control.tar is too large".to_owned()));
            }
            let mut packed = Vec::new();
            member.read_to_end(&mut packed)?;
            if packed.len() as u64 == size {
                found = Some(unpack(&packed, compression)?);
            }
        }
        has_data |= name.starts_with("data.tar");
        io::copy(&mut member, &mut io::sink())?;
        if member.limit() > 0 {
            return Err(DebError::CutOff);
        }
        // Members begin at even offsets. The last one's padding may be missing.
        if size % 2 == 1 {
            io::copy(&mut (&mut file).take(1), &mut io::sink())?;
        }
        n += 1;
    }
    match found {
        Some(control) if has_data => Ok(control),
        _ => Err(DebError::CutOff),
    }
}

/// The next member's name and size; `None` at the end.
fn header(file: &mut impl Read) -> Result<Option<(String, u64)>, DebError> {
    let mut header = [0; HEADER];
    match read_full(file, &mut header)? {
        0 => return Ok(None),
        HEADER if header.ends_with(HEADER_END) => {}
        HEADER => return Err(DebError::NotADeb),
        _ => return Err(DebError::CutOff),
    }
    let text = |range| header.get(range).and_then(|bytes| std::str::from_utf8(bytes).ok()).ok_or(DebError::NotADeb);
    let name = text(0..16)?.trim_end().trim_end_matches('/').to_owned();
    let size = text(48..58)?.trim_end().parse().map_err(|_| DebError::NotADeb)?;
    Ok(Some((name, size)))
}

/// Reads until the buffer is full or the file ends.
fn read_full(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut whole = Vec::with_capacity(buffer.len());
    file.take(buffer.len() as u64).read_to_end(&mut whole)?;
    buffer.iter_mut().zip(&whole).for_each(|(to, from)| *to = *from);
    Ok(whole.len())
}

fn unpack(packed: &[u8], compression: &str) -> Result<Control, DebError> {
    match compression {
        "" => read_tar(packed),
        ".gz" => read_tar(GzDecoder::new(packed)),
        ".xz" => read_tar(XzReader::new_mem_limit(packed, true, XZ_MEMORY_KIB)),
        other => Err(DebError::Control(format!(
            "it is compressed as {other}: expected .xz or .gz (`dpkg-deb -Zxz --build`)"
        ))),
    }
}

fn read_tar(unpacked: impl Read) -> Result<Control, DebError> {
    let damaged = |error: io::Error| DebError::Control(format!("its control.tar is damaged: {error}"));
    let mut archive = tar::Archive::new(unpacked.take(CONTROL_MAX));
    for entry in archive.entries().map_err(damaged)? {
        let entry = entry.map_err(damaged)?;
        if entry.path().is_ok_and(|path| path.as_os_str() == "./control" || path.as_os_str() == "control") {
            let mut text = String::new();
            entry.take(CONTROL_MAX).read_to_string(&mut text).map_err(damaged)?;
            return parse(&text);
        }
    }
    Err(DebError::Control("it has no file named control".to_owned()))
}

fn parse(text: &str) -> Result<Control, DebError> {
    let field = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        let value = lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned());
        value.ok_or_else(|| DebError::Control(format!("its control file has no {name}")))
    };
    let control =
        Control { package: field("Package")?, version: field("Version")?, architecture: field("Architecture")? };
    // It becomes part of a path and of a shell script. Debian also allows `:`, for an epoch, which Olog's versions never have.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '~' | '-');
    let version = &control.version;
    if version.is_empty() || version.len() > VERSION_MAX || version.starts_with('.') || !version.chars().all(is_plain) {
        return Err(DebError::Control("its version is not one of Olog's".to_owned()));
    }
    Ok(control)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{deb, xz_deb};
    use super::*;

    fn read(bytes: &[u8]) -> String {
        match control(bytes) {
            Ok(Control { package, version, architecture }) => format!("{package} {version} {architecture}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_package_is_read_whatever_packs_it_and_a_damaged_one_says_what_it_is() {
        let good = deb("olog-agent", "0.2.0-1", "arm64");
        assert_eq!(read(&good), "olog-agent 0.2.0-1 arm64");
        assert_eq!(read(xz_deb()), "olog-agent 1.2.3-4 amd64");
        for cut in [good.len() - 10, good.len() / 2, 100, 70] {
            assert_eq!(read(good.get(..cut).unwrap()), "it is cut off", "after {cut} bytes");
        }
        assert_eq!(read(b""), "it is not a Debian package");
        assert_eq!(read(b"\x7fELF\x02\x01\x01"), "it is not a Debian package");
        let mut noise = good.clone();
        noise.get_mut(8..24).unwrap().fill(b'x');
        assert_eq!(read(&noise), "it is not a Debian package");
        let at = good.windows(16).position(|name| name == b"control.tar.gz  ").unwrap();
        let mut other = good;
        other.get_mut(at..at + 16).unwrap().copy_from_slice(b"control.tar.zst ");
        assert_eq!(read(&other), "it is compressed as .zst: expected .xz or .gz (`dpkg-deb -Zxz --build`)");
        for version in ["1:2", "../../x", "1 2", ".1", "1'2", ""] {
            let said = read(&deb("olog-agent", version, "arm64"));
            assert!(said.starts_with("its "), "{version}: {said}");
        }
    }

    #[test]
    fn a_size_that_the_file_claims_allocates_nothing() {
        let mut bomb = MAGIC.to_vec();
        for (name, size) in [("debian-binary", "9999999999"), ("control.tar.xz", "9999999999")] {
            bomb.extend(format!("{name:<16}{:<32}{size:<10}`\n", "0").bytes());
        }
        assert_eq!(read(&bomb), "it is cut off");
        let mut large = MAGIC.to_vec();
        large.extend(format!("{:<16}{:<32}{:<10}`\n2.0\n", "debian-binary", "0", "4").bytes());
        large.extend(format!("{:<16}{:<32}{:<10}`\n", "control.tar.xz", "0", "9999999999").bytes());
        assert_eq!(read(&large), "its control.tar is too large");
    }
}
