//! The whole site on one page.

use super::{App, access, front, registry, scs, sync, uws};
use axum::Router;
use axum::routing::get;

/// Every route of the service.
pub fn router(app: App) -> Router {
    let routes = Router::new()
        // for people
        .route("/", get(front::page))
        // queries by ADQL, and what belongs to them
        .route("/tap", get(sync::root))
        .route("/tap/sync", get(sync::query).post(sync::query))
        .route("/tap/capabilities", get(sync::capabilities))
        .route("/tap/tables", get(sync::tables))
        .route("/tap/tables/{name}", get(sync::table))
        .route("/tap/availability", get(sync::availability))
        .route("/tap/examples", get(sync::examples))
        // cones
        .route("/scs/{table}", get(scs::cone).post(scs::cone))
        // for registries, and for whoever wants to know where there are rows
        .route("/registry", get(registry::records))
        .route("/moc/{table}", get(registry::moc))
        // asynchronous queries
        .merge(uws::routes())
        // for operators
        .route("/metrics", get(access::metrics))
        .fallback(front::nowhere)
        .method_not_allowed_fallback(front::not_that_way);
    access::around(routes, app.clone()).with_state(app)
}
