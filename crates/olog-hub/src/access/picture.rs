//! A text as a QR code that a phone scans: an SVG picture, of attributes only, so that it stands in a page with a strict policy.

use qrcode::{QrCode, render::svg};

use super::AccessError;

/// The picture of a text.
pub fn qr(text: &str) -> Result<String, AccessError> {
    let code = QrCode::new(text).map_err(|error| AccessError::Hash(error.to_string()))?;
    let picture = code.render::<svg::Color<'_>>().min_dimensions(220, 220).build();
    Ok(picture.split_once("<svg").map_or(String::new(), |(_, rest)| format!("<svg{rest}")))
}
