//! The embedded PostgreSQL: start, share, crash, refuse.

use crate::harness;
use brickyard::db;

#[tokio::test]
async fn every_test_gets_a_database_with_q3c() {
    let (client, url) = harness::server().database("cluster_fresh").await;
    let ipix: i64 = client.query_one("select q3c_ang2ipix(11.02203::float8, 41.23451::float8)", &[]).await.expect("q3c answers").get(0);
    assert!(ipix > 0);
    let unsafe_ones: i64 = client
        .query_one("select count(*) from pg_proc where proname like 'q3c%' and proparallel <> 's'", &[])
        .await
        .expect("a count")
        .get(0);
    assert_eq!(unsafe_ones, 0);
    let again = db::connect(&harness::options(&url)).await.expect("the URL works");
    assert_eq!(again.target(), client.target());
}
