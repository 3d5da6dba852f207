//! How many calls are under way at once.
//!
//! What a call names may be on a file system that the container serves itself (FUSE): looking its path
//! up, or reading memory that is mapped from there, then takes as long as the container likes, and
//! nobody can break it off. So each call has a thread, and there is a number beyond which calls are
//! refused: of one user, who then hurts nobody else, and of all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Calls at once of one user.
const OF_ONE: usize = 16;
/// Calls at once.
const OF_ALL: usize = 64;

/// Calls under way, by the user who makes them. A clone counts the same ones.
#[derive(Debug, Clone, Default)]
pub struct Crowd(Arc<Mutex<HashMap<u32, usize>>>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub struct Place {
    crowd: Crowd,
    user: u32,
}

impl Crowd {
    /// Counts a call of `user`; `None` when that is one too many.
    pub fn enter(&self, user: u32) -> Option<Place> {
        let mut counts = self.counts();
        if counts.values().sum::<usize>() >= OF_ALL {
            return None;
        }
        let of_one = counts.entry(user).or_default();
        if *of_one >= OF_ONE {
            return None;
        }
        *of_one += 1;
        Some(Place { crowd: self.clone(), user })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<u32, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.crowd.counts();
        if let Some(count) = counts.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    #[test]
    fn one_user_leaves_room_for_others_and_all_have_an_end() {
        let crowd = Crowd::default();
        let mut of_one: Vec<Place> = (0..OF_ONE).map(|_| crowd.enter(5).unwrap()).collect();
        assert!(crowd.enter(5).is_none());
        let others: Vec<Place> =
            (OF_ONE..OF_ALL).map(|nth| crowd.enter(100 + nth as u32).unwrap()).collect();
        assert!(crowd.enter(6).is_none());
        of_one.pop();
        assert!(crowd.enter(6).is_some() && crowd.enter(5).is_some());
        drop((of_one, others));
        assert!(crowd.counts().is_empty());
    }
}
