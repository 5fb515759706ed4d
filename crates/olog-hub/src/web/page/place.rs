//! Where pages are. Links and redirects are relative, because a proxy may serve the hub below a path that the hub does not know.

use axum::http::{HeaderMap, HeaderValue, header};

/// Where a page is below the hub's own address, with its query. What leads there puts [`up`] before it.
pub(in crate::web) fn address(path: &str, query: &[(&str, &str)]) -> String {
    let pairs = query.iter().filter(|(_, value)| !value.is_empty());
    let path = path.trim_start_matches('/');
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// The page that an address belongs to: `/account` of `/account/password`.
pub(in crate::web) fn section(path: &str) -> &str {
    let end = path.get(1..).and_then(|rest| rest.find('/'));
    end.and_then(|end| path.get(..=end)).unwrap_or(path)
}

/// From a page to the hub's own address.
pub(in crate::web) fn up(path: &str) -> String {
    "../".repeat(path.matches('/').count().saturating_sub(1))
}

/// Makes a redirect relative, as the links of pages are: the hub does not know the path under which a proxy serves it.
pub(in crate::web) fn make_relative(up: &str, headers: &mut HeaderMap) {
    let place = headers.get(header::LOCATION).and_then(|place| place.to_str().ok()?.strip_prefix('/'));
    let relative = match place {
        Some("") => format!("{up}./"),
        Some(place) => format!("{up}{place}"),
        None => return,
    };
    if let Ok(relative) = HeaderValue::from_str(&relative) {
        headers.insert(header::LOCATION, relative);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_address_of_a_form_belongs_to_its_page() {
        for (path, page) in [
            ("/account/password", "/account"),
            ("/account", "/account"),
            ("/", "/"),
            ("", ""),
            ("/é/x", "/é"),
            ("//x", "/"),
        ] {
            assert_eq!(super::section(path), page);
        }
    }
}
