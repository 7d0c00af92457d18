//! Counts what each client has under way, and refuses one more than its share.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Counters by address; entries go when they reach nought, so that memory is bounded by what is under way.
#[derive(Clone)]
pub struct Clients {
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
    most: usize,
}

/// One thing under way; dropping it ends it.
pub struct Permit {
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
    client: IpAddr,
}

impl Clients {
    /// `most` at once for each client.
    pub fn new(most: usize) -> Clients {
        Clients { counts: Arc::default(), most }
    }

    /// Lets the client in; `None` if it has its share under way.
    pub fn enter(&self, client: IpAddr) -> Option<Permit> {
        let client = network(client);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(client).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Permit { counts: self.counts.clone(), client })
    }

    /// How many things are under way, all clients together.
    pub fn under_way(&self) -> usize {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.client);
            }
        }
    }
}

/// An IPv6 customer has a /64 of addresses at least: they count as one client.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_its_share_and_no_more() {
        let clients = Clients::new(2);
        let (a, b) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let first = clients.enter(a);
        let second = clients.enter(a);
        assert!(first.is_some() && second.is_some() && clients.enter(a).is_none());
        assert!(clients.enter(b).is_some());
        drop(first);
        assert!(clients.enter(a).is_some());
        drop(second);
        assert_eq!(clients.under_way(), 0);
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_client() {
        let clients = Clients::new(1);
        let held = clients.enter("2001:db8::1".parse().unwrap());
        assert!(held.is_some() && clients.enter("2001:db8::2".parse().unwrap()).is_none());
        assert!(clients.enter("2001:db8:0:1::2".parse().unwrap()).is_some());
    }
}
