//! The escapes of `vzctl console`: two keys at the beginning of a line.

const ESCAPE: u8 = 27;
const ENTER: u8 = 13;

/// What typed bytes mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// They are for the container.
    Forward(Vec<u8>),
    /// `ESC .`: leave the console.
    Detach,
    /// `ESC !`: end what runs on the console.
    Kill,
}

/// Where in a line the admin is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Beginning,
    Escape,
    Middle,
}

/// Reads what is typed.
#[derive(Debug)]
pub struct Keys(Place);

impl Keys {
    /// At the beginning of a line.
    pub fn new() -> Keys {
        Keys(Place::Beginning)
    }

    /// What these bytes mean; nothing after [`Action::Detach`] counts.
    pub fn read(&mut self, typed: &[u8]) -> Vec<Action> {
        let mut actions = Vec::new();
        let mut forward = Vec::new();
        for byte in typed {
            let command = match (self.0, *byte) {
                (Place::Beginning, ESCAPE) => {
                    self.0 = Place::Escape;
                    continue;
                }
                (Place::Escape, b'.') => Some(Action::Detach),
                (Place::Escape, b'!') => Some(Action::Kill),
                (Place::Escape, _) => {
                    forward.push(ESCAPE);
                    None
                }
                _ => None,
            };
            match command {
                None => forward.push(*byte),
                Some(action) => {
                    push(&mut actions, &mut forward);
                    actions.push(action);
                }
            }
            let begins =
                *byte == ENTER || actions.last() == Some(&Action::Kill) && forward.is_empty();
            self.0 = if begins { Place::Beginning } else { Place::Middle };
            if actions.last() == Some(&Action::Detach) {
                return actions;
            }
        }
        push(&mut actions, &mut forward);
        actions
    }
}

fn push(actions: &mut Vec<Action>, forward: &mut Vec<u8>) {
    if !forward.is_empty() {
        actions.push(Action::Forward(std::mem::take(forward)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forward(bytes: &[u8]) -> Action {
        Action::Forward(bytes.to_vec())
    }

    #[test]
    fn escapes_count_at_the_beginning_of_a_line() {
        let read = |typed| Keys::new().read(typed);
        assert_eq!(read(b"\x1b.x"), [Action::Detach]);
        assert_eq!(read(b"ls\r\x1b."), [forward(b"ls\r"), Action::Detach]);
        assert_eq!(read(b"ls\x1b."), [forward(b"ls\x1b.")]);
        // A terminal in raw mode sends no line feed for Enter.
        assert_eq!(read(b"ls\n\x1b."), [forward(b"ls\n\x1b.")]);
        assert_eq!(read(b"\x1b!\x1b!a\x1b!"), [Action::Kill, Action::Kill, forward(b"a\x1b!")]);
    }

    #[test]
    fn another_key_after_escape_is_passed_on_with_it() {
        let mut keys = Keys::new();
        assert_eq!(keys.read(b"\x1b"), []);
        assert_eq!(keys.read(b"[A"), [forward(b"\x1b[A")]);
        assert_eq!(keys.read(b"\x1b."), [forward(b"\x1b.")]);
        assert_eq!(Keys::new().read(b"\x1b\r\x1b."), [forward(b"\x1b\r"), Action::Detach]);
        assert_eq!(Keys::new().read(b"\x1b\x1b."), [forward(b"\x1b\x1b.")]);
    }
}
