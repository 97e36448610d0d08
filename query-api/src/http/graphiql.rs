//! GraphiQL, the page for people: served from memory, nothing comes from anywhere else.

use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

/// A file of the page.
struct Asset {
    /// What the page's template calls it.
    name: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
    /// What it is served as: with its hash in the name, so that it may be cached for ever.
    served_as: String,
}

impl Asset {
    fn new(name: &'static str, bytes: &'static [u8]) -> Self {
        let mut hash = String::with_capacity(16);
        for byte in &Sha256::digest(bytes)[..8] {
            let _ = write!(hash, "{byte:02x}");
        }
        let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
        let content_type = if extension == "css" { "text/css; charset=utf-8" } else { "text/javascript; charset=utf-8" };
        Self { name, content_type, bytes, served_as: format!("{stem}.{hash}.{extension}") }
    }
}

static ASSETS: LazyLock<[Asset; 6]> = LazyLock::new(|| {
    [
        Asset::new("react.js", include_bytes!("../../assets/graphiql/react.production.min.js")),
        Asset::new("react-dom.js", include_bytes!("../../assets/graphiql/react-dom.production.min.js")),
        Asset::new("graphiql.js", include_bytes!("../../assets/graphiql/graphiql.min.js")),
        Asset::new("graphiql.css", include_bytes!("../../assets/graphiql/graphiql.min.css")),
        Asset::new("page.js", include_bytes!("../../assets/page.js")),
        Asset::new("page.css", include_bytes!("../../assets/page.css")),
    ]
});

/// The page with the names that its files are served as.
static PAGE: LazyLock<String> = LazyLock::new(|| {
    let page = include_str!("../../assets/page.html").to_owned();
    ASSETS.iter().fold(page, |page, asset| page.replace(&format!("{{{{{}}}}}", asset.name), &asset.served_as))
});

/// Nothing from other hosts, no script but our own files, no frame around it. Fonts stand in the style sheet as data.
/// The hash is of the one style that GraphiQL's menus put into the page (`react-remove-scroll-bar`).
const POLICY: &str = "default-src 'none'; script-src 'self'; \
    style-src 'self' 'sha256-Y/huXlwoYkVyQlxwSVcCi1RCDGDCSVBzDt0hYP9qlTc='; font-src data:; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page itself. It holds no data, so everybody may see it; its queries need a token.
pub(crate) fn page() -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (VARY, HeaderValue::from_static("accept")),
    ];
    (headers, PAGE.as_str()).into_response()
}

/// A file of the page, by the name with its hash.
pub(crate) async fn asset(Path(name): Path<String>) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.served_as == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers: [(HeaderName, HeaderValue); 3] = [
        (CONTENT_TYPE, HeaderValue::from_static(asset.content_type)),
        (CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (headers, asset.bytes).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_its_own_files_and_no_other_host() {
        assert!(!PAGE.contains("{{"), "{}", *PAGE);
        assert!(!PAGE.contains("://"), "{}", *PAGE);
        for asset in ASSETS.iter() {
            assert!(PAGE.contains(&asset.served_as), "{} is not used", asset.name);
        }
    }
}
