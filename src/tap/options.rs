//! What can be set about queries: limits, sessions, what is published.

use crate::settings::settings;

settings! {
    /// Queries: what is published, how long they may run, how much they may give.
    Options in "tap" {
        /// Catalogues (PostgreSQL schemas) to publish; empty publishes every known catalogue that has tables in the database.
        publish: Vec<String> = Vec::new(),
        /// Rows of an answer when the client does not say MAXREC.
        default_rows: u64 = 1_000_000,
        /// The most rows that MAXREC may ask for.
        most_rows: u64 = 100_000_000,
        /// Seconds that a synchronous query may run, the sending of its answer included.
        sync_limit_s: u64 = 600,
        /// Seconds that an asynchronous query may run.
        async_limit_s: u64 = 43_200,
        /// Database sessions for synchronous queries.
        connections: u32 = 16,
        /// Seconds that a query waits for a free session before it is refused (503).
        wait_s: u64 = 20,
        /// Queries that one client (address) may have running at once; one more is refused (429).
        queries_per_client: usize = 12,
        /// The planner's cost above which a synchronous query is refused in favour of an asynchronous one; 0 asks nothing.
        sync_cost_limit: f64 = 0.0,
        /// Memory of each sort or hash of a query, as PostgreSQL writes it.
        work_mem: String = "64MB".to_owned(),
        /// Temporary files of a query at most, as PostgreSQL writes it.
        temp_file_limit: String = "20GB".to_owned(),
        /// Processes that may help one query.
        parallel_workers: u32 = 2,
        /// The naming authority in identifiers of the registry records (example.org); empty is made of the base URL's host.
        authority: String = String::new(),
        /// Who publishes, for the registry records; empty is the base URL.
        publisher: String = String::new(),
        /// A mail address for questions, for the registry records.
        contact: String = String::new(),
        /// Seconds between looks whether the published tables have changed.
        refresh_s: u64 = 10,
    }
}
