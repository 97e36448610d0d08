//! `/openapi.json` and `/docs`: the API's own description, and a page to try it on.

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::openapi;

/// Swagger UI sets styles on elements and shows images that it carries in itself; it loads nothing from elsewhere.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'";

/// `GET /openapi.json`
pub(super) async fn openapi() -> Response {
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")], openapi::COMMITTED).into_response()
}

/// `GET /docs`
pub(super) fn pages() -> Router {
    // The token stays in the page's memory: a browser's storage is no place for it.
    let config = Config::new(["/openapi.json"]).try_it_out_enabled(true).persist_authorization(false);
    let pages: Router = SwaggerUi::new("/docs").config(config).into();
    pages.layer(map_response(|mut response: Response| async {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
        response
    }))
}
