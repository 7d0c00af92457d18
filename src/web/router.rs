//! The whole site on one page.

use super::images::{cutout, datalink, hips, page, sia1, sia2, soda};
use super::{App, access, front, pipeline, registry, scs, sync, uws};
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
        // images: found, described, cut
        .route("/sia", get(sia1::all).post(sia1::all))
        .route("/sia/{collection}", get(sia1::of_collection).post(sia1::of_collection))
        .route("/sia2/query", get(sia2::query).post(sia2::query))
        .route("/sia2/capabilities", get(sia2::capabilities))
        .route("/sia2/availability", get(sync::availability))
        .route("/datalink/links", get(datalink::links).post(datalink::links))
        .route("/datalink/file", get(datalink::file))
        .route("/datalink/capabilities", get(datalink::capabilities))
        .route("/datalink/availability", get(sync::availability))
        .route("/soda/sync", get(soda::cut).post(soda::cut))
        .route("/soda/capabilities", get(soda::capabilities))
        .route("/soda/availability", get(sync::availability))
        .route("/svc/cutout", get(cutout::cutout))
        .route("/images", get(page::page))
        // and shown at all scales
        .route("/hips/{filter}", get(hips::root))
        .route("/hips/{filter}/", get(hips::page))
        .route("/hips/{filter}/{*path}", get(hips::file))
        // for registries, and for whoever wants to know where there are rows
        .route("/registry", get(registry::records))
        .route("/moc/{table}", get(registry::moc))
        // asynchronous queries
        .merge(uws::routes())
        // the stage runner: workers and pages
        .merge(app.pipeline.clone().map(pipeline::router).unwrap_or_default())
        // for operators
        .route("/metrics", get(access::metrics))
        .fallback(front::nowhere)
        .method_not_allowed_fallback(front::not_that_way);
    access::around(routes, app.clone()).with_state(app)
}
