//! D-Bus messages as bytes (D-Bus specification, "Type System" and "Message Protocol"): little
//! endian, each value aligned to its size within its part of the message.

use super::Call;

const LITTLE_ENDIAN: u8 = b'l';
const PROTOCOL: u8 = 1;
/// Fixed part of a header, up to and with the length of its fields.
const FIXED: usize = 16;
/// The longest message and the longest array of the specification.
const LONGEST: usize = 1 << 27;
const LONGEST_ARRAY: usize = 1 << 26;

/// Header fields.
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

/// A message that breaks the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed D-Bus message: {0}")]
pub struct Malformed(&'static str);

/// A value to be sent.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// `b`
    Bool(bool),
    /// `u`
    U32(u32),
    /// `t`; systemd takes `u64::MAX` for "infinity".
    U64(u64),
    /// `s`
    Text(&'a str),
    /// `au`
    U32Array(&'a [u32]),
    /// `a(sv)`: named values.
    Properties(&'a [(&'a str, Value<'a>)]),
    /// `a(sa(sv))`, empty: the further units of StartTransientUnit.
    NoUnits,
}

impl Value<'_> {
    fn signature(&self) -> &'static str {
        match self {
            Self::Bool(_) => "b",
            Self::U32(_) => "u",
            Self::U64(_) => "t",
            Self::Text(_) => "s",
            Self::U32Array(_) => "au",
            Self::Properties(_) => "a(sv)",
            Self::NoUnits => "a(sa(sv))",
        }
    }
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Call,
    Return,
    Error,
    Signal,
    /// To be ignored, says the specification.
    Unknown,
}

/// What matters of a received header.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) reply_to: Option<u32>,
    pub(super) interface: Option<String>,
    pub(super) member: Option<String>,
    pub(super) error: Option<String>,
    pub(super) signature: Option<String>,
}

/// The bytes of a method call.
pub(super) fn method_call(
    serial: u32,
    call: &Call<'_>,
    method: &str,
    arguments: &[Value<'_>],
) -> Vec<u8> {
    let mut body = Writer::default();
    arguments.iter().for_each(|argument| body.value(argument));
    let signature: String = arguments.iter().map(Value::signature).collect();

    let mut message = Writer::default();
    message.bytes(&[LITTLE_ENDIAN, 1, 0, PROTOCOL]);
    message.number(body.0.len() as u32);
    message.number(serial);
    message.array(8, |fields| {
        fields.field(PATH, "o", call.path);
        fields.field(INTERFACE, "s", call.interface);
        fields.field(MEMBER, "s", method);
        fields.field(DESTINATION, "s", call.destination);
        if !signature.is_empty() {
            fields.align(8);
            fields.bytes(&[SIGNATURE]);
            fields.signature("g");
            fields.signature(&signature);
        }
    });
    message.align(8);
    message.bytes(&body.0);
    message.0
}

#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn number(&mut self, number: u32) {
        self.align(4);
        self.bytes(&number.to_le_bytes());
    }

    /// A string or an object path. A zero byte cannot be within: it ends the text, as in C.
    fn text(&mut self, text: &str) {
        let text = text.split('\0').next().unwrap_or_default();
        self.number(text.len() as u32);
        self.bytes(text.as_bytes());
        self.bytes(&[0]);
    }

    fn signature(&mut self, signature: &str) {
        self.bytes(&[signature.len() as u8]);
        self.bytes(signature.as_bytes());
        self.bytes(&[0]);
    }

    fn field(&mut self, code: u8, signature: &str, text: &str) {
        self.align(8);
        self.bytes(&[code]);
        self.signature(signature);
        self.text(text);
    }

    /// The length of an array is that of its elements, without the padding before the first.
    fn array(&mut self, alignment: usize, elements: impl FnOnce(&mut Self)) {
        self.number(0);
        let length_at = self.0.len() - 4;
        self.align(alignment);
        let start = self.0.len();
        elements(self);
        let length = (self.0.len() - start) as u32;
        let place = self.0.iter_mut().skip(length_at);
        place.zip(length.to_le_bytes()).for_each(|(to, from)| *to = from);
    }

    fn value(&mut self, value: &Value<'_>) {
        match value {
            Value::Bool(value) => self.number((*value).into()),
            Value::U32(value) => self.number(*value),
            Value::U64(value) => {
                self.align(8);
                self.bytes(&value.to_le_bytes());
            }
            Value::Text(text) => self.text(text),
            Value::U32Array(numbers) => {
                self.array(4, |array| numbers.iter().for_each(|number| array.number(*number)));
            }
            Value::Properties(properties) => self.array(8, |array| {
                for (name, value) in *properties {
                    array.align(8);
                    array.text(name);
                    array.signature(value.signature());
                    array.value(value);
                }
            }),
            Value::NoUnits => self.array(8, |_| {}),
        }
    }
}

/// How long the message at the start of `bytes` is; `None` while too little of it is there.
pub(super) fn length(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    let Some(fixed) = bytes.get(..FIXED) else { return Ok(None) };
    if fixed.first() != Some(&LITTLE_ENDIAN) {
        return Err(Malformed("not little endian"));
    }
    if fixed.get(3) != Some(&PROTOCOL) {
        return Err(Malformed("not of protocol version 1"));
    }
    let mut reader = Reader { bytes: fixed, at: 4 };
    let body = reader.number()? as usize;
    reader.number()?;
    let fields = reader.number()? as usize;
    if fields > LONGEST_ARRAY || body > LONGEST {
        return Err(Malformed("longer than allowed"));
    }
    let total = (FIXED + fields).next_multiple_of(8) + body;
    if total > LONGEST { Err(Malformed("longer than allowed")) } else { Ok(Some(total)) }
}

/// The header and the body of one whole message.
pub(super) fn split(message: &[u8]) -> Result<(Header, Vec<u8>), Malformed> {
    let kind = match message.get(1) {
        Some(1) => Kind::Call,
        Some(2) => Kind::Return,
        Some(3) => Kind::Error,
        Some(4) => Kind::Signal,
        _ => Kind::Unknown,
    };
    let mut header = Header {
        kind,
        reply_to: None,
        interface: None,
        member: None,
        error: None,
        signature: None,
    };
    let mut reader = Reader { bytes: message, at: FIXED - 4 };
    let end = FIXED + reader.number()? as usize;
    while reader.at < end {
        reader.align(8);
        let code = reader.byte()?;
        match (code, reader.signature()?.as_str()) {
            (INTERFACE, "s") => header.interface = Some(reader.text()?),
            (MEMBER, "s") => header.member = Some(reader.text()?),
            (ERROR_NAME, "s") => header.error = Some(reader.text()?),
            (REPLY_SERIAL, "u") => header.reply_to = Some(reader.number()?),
            (SIGNATURE, "g") => header.signature = Some(reader.signature()?),
            (_, "s" | "o") => drop(reader.text()?),
            (_, "u") => drop(reader.number()?),
            (_, "g") => drop(reader.signature()?),
            _ => return Err(Malformed("header field of an unknown type")),
        }
    }
    reader.align(8);
    let body = message.get(reader.at..).ok_or(Malformed("shorter than it says"))?;
    Ok((header, body.to_vec()))
}

/// Reads values one after the other.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self { bytes: body, at: 0 }
    }

    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(length).ok_or(Malformed("shorter than it says"))?;
        let taken = self.bytes.get(self.at..end).ok_or(Malformed("shorter than it says"))?;
        self.at = end;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        self.take(1)?.first().copied().ok_or(Malformed("shorter than it says"))
    }

    pub(super) fn number(&mut self) -> Result<u32, Malformed> {
        self.align(4);
        let bytes = self.take(4)?.try_into().map_err(|_| Malformed("shorter than it says"))?;
        Ok(u32::from_le_bytes(bytes))
    }

    pub(super) fn text(&mut self) -> Result<String, Malformed> {
        let length = self.number()? as usize;
        self.ended_text(length)
    }

    fn signature(&mut self) -> Result<String, Malformed> {
        let length = self.byte()?.into();
        self.ended_text(length)
    }

    fn ended_text(&mut self, length: usize) -> Result<String, Malformed> {
        let text = self.take(length)?;
        if self.byte()? != 0 {
            return Err(Malformed("text without its end"));
        }
        String::from_utf8(text.to_vec()).map_err(|_| Malformed("text that is not UTF-8"))
    }
}
