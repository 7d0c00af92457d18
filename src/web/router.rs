//! The whole site on one page.

use super::{App, access, front};
use axum::Router;
use axum::routing::get;

/// Every route of the service.
pub fn router(app: App) -> Router {
    let routes = Router::new()
        // for people
        .route("/", get(front::page))
        // for operators
        .route("/metrics", get(access::metrics))
        .fallback(front::nowhere)
        .method_not_allowed_fallback(front::not_that_way);
    access::around(routes, app.clone()).with_state(app)
}
