//! What can be set about asynchronous jobs.

use crate::settings::settings;

settings! {
    /// Asynchronous jobs: the queue, its workers, how long and how much is kept.
    Options in "jobs" {
        /// Jobs that run at once in this service.
        running: usize = 4,
        /// Jobs of one client (address) that run at once.
        running_per_client: i64 = 2,
        /// Jobs in the queue at most; one more is refused (503).
        queued: i64 = 1000,
        /// Jobs of one client in the queue at most; one more is refused (429).
        queued_per_client: i64 = 200,
        /// Jobs that were made and not started, at most (503).
        pending: i64 = 10_000,
        /// The same of one client (429).
        pending_per_client: i64 = 200,
        /// Seconds that a job and its result are kept, if the client does not say.
        retention_s: u64 = 7 * 86_400,
        /// Seconds that a client may have them kept.
        retention_most_s: u64 = 30 * 86_400,
        /// Bytes of one result at most.
        result_bytes: u64 = 16 << 30,
        /// Bytes of all results and kept uploads at most.
        quota_bytes: u64 = 256 << 30,
        /// Seconds that a request with WAIT waits at most.
        wait_s: u64 = 60,
        /// Jobs in a list at most.
        list: usize = 1000,
    }
}
