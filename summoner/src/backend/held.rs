//! Locks of places that have none of their own: they keep the threads of this process apart, and nobody else.
//!
//! That is enough there. What lies at such a place is written once and never changed, its names hold the instance and the
//! time, and whoever copies or removes snapshots holds this host's own lock while it does. Two hosts must not share one
//! place: each has a folder or a prefix of its own. A lock that lay at the place would be a file that a crash leaves behind
//! and an account that may only add could never remove.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use super::{Held, Hold};

/// Who holds which lock: so many share it, or one has it alone.
static HELD: LazyLock<Mutex<HashMap<String, Holders>>> = LazyLock::new(Mutex::default);

enum Holders {
    Shared(u32),
    Alone,
}

struct Holding {
    name: String,
}

impl Held for Holding {}

impl Drop for Holding {
    fn drop(&mut self) {
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        match held.get_mut(&self.name) {
            Some(Holders::Shared(count)) if *count > 1 => *count -= 1,
            _ => {
                held.remove(&self.name);
            }
        }
    }
}

/// Holds a lock of a place; None when somebody else holds it in a way that does not go with this.
pub(super) fn lock(location: &str, name: &str, hold: Hold) -> Option<Box<dyn Held>> {
    let name = format!("{location} {name}");
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    match (held.get_mut(&name), hold) {
        (None, Hold::Alone) => held.insert(name.clone(), Holders::Alone),
        (None, Hold::Shared) => held.insert(name.clone(), Holders::Shared(1)),
        (Some(Holders::Shared(count)), Hold::Shared) => {
            *count += 1;
            None
        }
        _ => return None,
    };
    Some(Box::new(Holding { name }))
}
