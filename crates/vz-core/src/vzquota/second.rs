//! The second level: what each user and group of the directory holds.
//!
//! Project quota has no users, and the user quota of a file system counts them over all of it. So
//! they are counted by going through the directory, by the numbers on the disk; but for one that is
//! a whole file system, whose own quota has them.

use std::path::Path;

use super::error::Result;
use super::file::{
    Amounts, Grace, LOADED, OBJECT_DIRTY, Object, QuotaFile, USERS_ACTIVE, USERS_EXCEEDED,
    USERS_ON, Users,
};
use super::kernel::Kernel;
use super::{change, scan};
use crate::report::Report;

/// Why limits of users and groups have no effect, and what to do.
pub const NOT_ENFORCED: &str = "limits of users and groups are kept and counted, and not enforced: \
     no kernel has user quota of a directory; use layout ploop, whose own file system has it";

/// Puts what was counted in the place of what each user and group held before; those that neither
/// hold nor may hold anything are forgotten.
pub fn put_usage(users: &mut Users, counted: &Users) {
    for object in &mut users.objects {
        object.amounts.space.held = 0;
        object.amounts.inodes.held = 0;
    }
    let mut new = Vec::new();
    for object in &counted.objects {
        let mut amounts = Amounts::default();
        amounts.space.held = object.amounts.space.held;
        amounts.inodes.held = object.amounts.inodes.held;
        match users.has(object.kind, object.id) {
            true => {
                let known = &mut users.object(object.kind, object.id).amounts;
                known.space.held = amounts.space.held;
                known.inodes.held = amounts.inodes.held;
            }
            false => new.push(Object { id: object.id, kind: object.kind, amounts, flags: 0 }),
        }
    }
    users.objects.extend(new);
    users.objects.sort_unstable_by_key(Object::key);
    users.objects.retain(|object| !object.is_empty());
}

/// Finds out what the users and groups of a quota that is on hold.
///
/// # Errors
/// The directory cannot be gone through; the kernel's.
pub fn refresh(
    file: &mut QuotaFile,
    kernel: &dyn Kernel,
    directory: &Path,
    now: i64,
    report: &mut dyn Report,
) -> Result<()> {
    match kernel.users(directory)? {
        Some(objects) => {
            file.users.objects.clear();
            for object in objects {
                *file.users.object(object.kind, object.id) = object;
            }
        }
        None => {
            let count = scan::count(directory, true, report)?;
            put_usage(&mut file.users, &count.users.unwrap_or_default());
            change::correct_users(&mut file.users.objects, &file.users.graces, now);
        }
    }
    load(&mut file.users);
    Ok(())
}

/// Has the kernel limit those that have a limit; says when it does not.
///
/// # Errors
/// The kernel's.
pub fn enforce(
    users: &Users,
    kernel: &dyn Kernel,
    directory: &Path,
    report: &mut dyn Report,
) -> Result<()> {
    let mut limited = users.objects.iter().filter(|object| object.has_limits()).peekable();
    if !kernel.limits_users(directory) {
        if limited.peek().is_some() {
            report.error(NOT_ENFORCED);
        }
        return Ok(());
    }
    for (kind, grace) in (0..).zip(&users.graces) {
        if *grace != Grace::default() {
            kernel.set_users_grace(directory, kind, grace)?;
        }
    }
    limited.try_for_each(|object| kernel.set_user(directory, object))
}

/// Has the kernel limit them no more.
///
/// # Errors
/// The kernel's.
pub fn lift(users: &Users, kernel: &dyn Kernel, directory: &Path) -> Result<()> {
    let mut limited = users.objects.iter().filter(|object| object.has_limits());
    let free = |object: &Object| Object { id: object.id, kind: object.kind, ..Object::default() };
    limited.try_for_each(|object| kernel.set_user(directory, &free(object)))
}

/// Begins to count users and groups, or not, as the quota says.
pub fn activate(file: &mut QuotaFile) {
    let users = &mut file.users;
    users.flags = 0;
    users.loaded = 0;
    users.objects.iter_mut().for_each(|object| object.flags = 0);
    if file.flags & USERS_ON == 0 {
        return;
    }
    users.flags = USERS_ACTIVE;
    if users.limit == 0 {
        users.flags |= USERS_EXCEEDED;
        return;
    }
    load(users);
}

/// Marks which of them are within the limit of their number: those with the lowest numbers.
fn load(users: &mut Users) {
    let mut order: Vec<&mut Object> = users.objects.iter_mut().collect();
    order.sort_by_key(|object| (object.id, object.kind));
    let limit = users.limit as usize;
    for (place, object) in order.iter_mut().enumerate() {
        object.flags = if place < limit { LOADED } else { OBJECT_DIRTY };
    }
    let exceeded = users.objects.len() > limit;
    users.loaded = u32::try_from(users.objects.len().min(limit)).unwrap_or(u32::MAX);
    users.flags = users.flags & !USERS_EXCEEDED | if exceeded { USERS_EXCEEDED } else { 0 };
}

/// Stops counting them.
pub fn deactivate(users: &mut Users) {
    users.flags &= !USERS_ACTIVE;
    users.loaded = 0;
    users.objects.iter_mut().for_each(|object| object.flags &= !LOADED);
}

/// Forgets them all, but for the limit of their number.
pub fn clear(users: &mut Users) {
    *users = Users { limit: users.limit, graces: [Grace::default(); 2], ..Users::default() };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_numbers_are_counted() {
        let mut file = QuotaFile { flags: USERS_ON, ..QuotaFile::default() };
        file.users.limit = 2;
        for (kind, id) in [(0, 7), (1, 0), (0, 0)] {
            file.users.object(kind, id).amounts.inodes.held = 1;
        }
        activate(&mut file);
        let flags: Vec<u32> = file.users.objects.iter().map(|object| object.flags).collect();
        assert_eq!(flags, [LOADED, OBJECT_DIRTY, LOADED]);
        assert_eq!((file.users.loaded, file.users.flags), (2, USERS_ACTIVE | USERS_EXCEEDED));
        deactivate(&mut file.users);
        assert_eq!((file.users.loaded, file.users.flags), (0, USERS_EXCEEDED));
    }

    #[test]
    fn who_holds_nothing_stays_for_its_limits() {
        let (mut users, mut counted) = (Users::default(), Users::default());
        users.object(0, 1).amounts.space.held = 5;
        users.object(0, 2).amounts.space.hard = 5;
        counted.object(1, 3).amounts.space.held = 7;
        put_usage(&mut users, &counted);
        let left: Vec<_> = users.objects.iter().map(|o| (o.id, o.amounts.space.held)).collect();
        assert_eq!(left, [(2, 0), (3, 7)]);
    }

    #[test]
    fn many_users_in_any_order_are_put_at_once() {
        let many = 100_000;
        let object = |id| Object { id, flags: LOADED, ..Object::default() };
        let limited = |id| {
            let mut object = object(id);
            object.amounts.inodes.hard = 1;
            object
        };
        let held = |id| {
            let mut object = object(id);
            object.amounts.inodes.held = 1;
            object
        };
        // Put one by one, each of the lower half moves all of the upper: minutes.
        let mut users =
            Users { objects: (many..2 * many).map(limited).collect(), ..Users::default() };
        let counted = Users { objects: (0..many).map(held).collect(), ..Users::default() };
        let begun = std::time::Instant::now();
        put_usage(&mut users, &counted);
        assert!(begun.elapsed() < std::time::Duration::from_secs(30), "{:?}", begun.elapsed());
        assert_eq!(users.objects.len(), 2 * many as usize);
        assert!(users.objects.is_sorted_by_key(Object::key));
    }
}
