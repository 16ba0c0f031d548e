//! Wrong tokens are answered later and later, by address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// So many failures are answered at once: people mistype.
const FREE_COUNT: u32 = 5;
/// The delay doubles so often.
const DOUBLING_COUNT_MAX: u32 = 4;
/// So many answers are held back at once for one address; more are refused unseen.
const HELD_COUNT_MAX: u32 = 16;
/// After so long without a failure all is forgiven.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);
/// So many addresses are remembered before the forgiven ones are dropped.
const ADDRESS_COUNT_MAX: usize = 10_000;

/// Failures by address. Clones are the same.
#[derive(Clone)]
pub(super) struct Failures {
    delay: Duration,
    records: Arc<Mutex<HashMap<IpAddr, Record>>>,
}

struct Record {
    count: u32,
    held: u32,
    last: SystemTime,
}

impl Failures {
    /// `delay` is that of the first failure that is not free.
    pub fn new(delay: Duration) -> Self {
        Self { delay, records: Arc::default() }
    }

    /// Notes a failure. The answer is to be sent after the hold; at once where there are too many (`None`).
    pub fn hold(&self, address: IpAddr, now: SystemTime) -> Option<Hold> {
        let address = network(address);
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let is_forgiven = |record: &Record| {
            record.held == 0 && now.duration_since(record.last).is_ok_and(|age| age > FORGOTTEN_AFTER)
        };
        if records.len() >= ADDRESS_COUNT_MAX {
            records.retain(|_, record| !is_forgiven(record));
        }
        let record = records.entry(address).or_insert(Record { count: 0, held: 0, last: now });
        if is_forgiven(record) {
            record.count = 0;
        }
        if record.held >= HELD_COUNT_MAX {
            return None;
        }
        record.count = record.count.saturating_add(1);
        record.last = now;
        record.held += 1;
        let delay = match record.count.checked_sub(FREE_COUNT + 1) {
            None => Duration::ZERO,
            Some(more) => self.delay * 2_u32.pow(more.min(DOUBLING_COUNT_MAX)),
        };
        Some(Hold { delay, address, failures: self.clone() })
    }
}

/// An answer that is held back.
pub(super) struct Hold {
    delay: Duration,
    address: IpAddr,
    failures: Failures,
}

impl Hold {
    /// Waits until the answer may be sent.
    pub async fn wait(self) {
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut records = self.failures.records.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(record) = records.get_mut(&self.address) {
            record.held -= 1;
        }
    }
}

/// One person has a whole /64 of IPv6 addresses.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(second)
    }

    #[test]
    fn delays_grow_up_to_a_limit_and_are_forgiven() {
        let failures = Failures::new(Duration::from_millis(500));
        let (one, other) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let delay = |address, second| failures.hold(address, at(second)).unwrap().delay.as_millis();
        let delays: Vec<u128> = (0..12).map(|second| delay(one, second)).collect();
        assert_eq!(delays, [0, 0, 0, 0, 0, 500, 1000, 2000, 4000, 8000, 8000, 8000]);
        assert_eq!(delay(other, 12), 0);
        assert_eq!(delay(one, 600), 8000);
        assert_eq!(delay(one, 1201), 0);
    }

    #[test]
    fn one_address_holds_few_answers() {
        let failures = Failures::new(Duration::from_millis(500));
        let address = "2001:db8::1".parse().unwrap();
        let neighbour = "2001:db8::2:1".parse().unwrap();
        let holds: Vec<Hold> = (0..HELD_COUNT_MAX).map(|_| failures.hold(address, at(0)).unwrap()).collect();
        assert!(failures.hold(address, at(1)).is_none() && failures.hold(neighbour, at(1)).is_none());
        assert!(failures.hold("2001:db8:1::1".parse().unwrap(), at(1)).is_some());
        drop(holds);
        assert!(failures.hold(address, at(2)).is_some());
    }
}
