//! Files that lie on each other, as one disk: a cluster is that of the topmost file which has it.

use super::delta::Delta;
use super::{ImageError, Result, Source, fill, size};

/// Bytes that are taken for a cluster where no file says its own: of a plain one alone.
const CLUSTER: u64 = 1 << 20;

/// A file of a disk.
#[derive(Debug)]
pub enum Layer<S> {
    /// In ploop's own format.
    Expanded(Delta<S>),
    /// The disk as it is, of this many bytes. Only the lowest can be one.
    Plain(S, u64),
}

impl<S: Source> Layer<S> {
    /// Opens a file in ploop's own format, and looks through its table.
    ///
    /// # Errors
    /// Those of [`Delta::open`] and [`Delta::check`].
    pub fn expanded(source: S) -> Result<Layer<S>> {
        let mut delta = Delta::open(source)?;
        delta.check()?;
        Ok(Layer::Expanded(delta))
    }

    /// Takes a file as it is.
    ///
    /// # Errors
    /// When its size cannot be had.
    pub fn plain(source: S) -> Result<Layer<S>> {
        let size = size(&source)?;
        Ok(Layer::Plain(source, size))
    }

    /// What it is read from.
    pub fn source(&self) -> &S {
        match self {
            Layer::Expanded(delta) => delta.source(),
            Layer::Plain(source, _) => source,
        }
    }
}

/// A part of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// How many bytes.
    pub length: u64,
    /// The number of the file that it lies in, counted from the topmost, and where in it. Nowhere it
    /// is all zeroes.
    pub place: Option<(usize, u64)>,
}

/// A disk.
#[derive(Debug)]
pub struct Stack<S> {
    /// Topmost first.
    layers: Vec<Layer<S>>,
    cluster: u64,
    size: u64,
}

impl<S: Source> Stack<S> {
    /// The disk of these files, the topmost first: it is as large as that says.
    ///
    /// # Errors
    /// [`ImageError::Clusters`] for files that do not fit each other, [`ImageError::Signature`] for a
    /// plain one that lies on another.
    pub fn new(layers: Vec<Layer<S>>) -> Result<Stack<S>> {
        let (cluster, size) = match layers.first() {
            Some(Layer::Expanded(delta)) => (delta.header().cluster, delta.header().disk),
            Some(Layer::Plain(_, size)) => (CLUSTER, *size),
            None => (CLUSTER, 0),
        };
        for (number, layer) in layers.iter().enumerate() {
            match layer {
                Layer::Expanded(delta) if delta.header().cluster != cluster => {
                    return Err(ImageError::Clusters(delta.header().cluster, cluster));
                }
                Layer::Plain(..) if number + 1 < layers.len() => return Err(ImageError::Signature),
                _ => {}
            }
        }
        Ok(Stack { layers, cluster, size })
    }

    /// Bytes of the disk.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The file with this number.
    pub fn source(&self, layer: usize) -> Option<&S> {
        self.layers.get(layer).map(Layer::source)
    }

    /// What lies at `at`, as far as it lies together, up to `end` at most. `at` lies before both `end`
    /// and the end of the disk.
    ///
    /// # Errors
    /// Those of [`Delta::place`].
    pub fn piece(&mut self, at: u64, end: u64) -> Result<Piece> {
        let end = end.min(self.size);
        let mut whole = self.cluster_at(at, end)?;
        while whole.length > 0 && at + whole.length < end {
            let next = self.cluster_at(at + whole.length, end)?;
            let follows = match (whole.place, next.place) {
                (None, None) => true,
                (Some((layer, offset)), Some(after)) => after == (layer, offset + whole.length),
                _ => false,
            };
            if !follows {
                break;
            }
            whole.length += next.length;
        }
        Ok(whole)
    }

    /// As [`Stack::piece`], in one cluster.
    fn cluster_at(&mut self, at: u64, end: u64) -> Result<Piece> {
        let (index, inside) = (at / self.cluster, at % self.cluster);
        let length = (self.cluster - inside).min(end.saturating_sub(at));
        for (number, layer) in self.layers.iter_mut().enumerate() {
            match layer {
                Layer::Expanded(delta) => {
                    if let Some(place) = delta.place(index)? {
                        return Ok(Piece { length, place: Some((number, place + inside)) });
                    }
                }
                Layer::Plain(_, size) if at < *size => {
                    let length = length.min(*size - at);
                    return Ok(Piece { length, place: Some((number, at)) });
                }
                Layer::Plain(..) => {}
            }
        }
        Ok(Piece { length, place: None })
    }

    /// Fills `buffer` with what lies at `at`; beyond the end of the disk that is nothing but zeroes.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&mut self, mut buffer: &mut [u8], mut at: u64) -> Result<()> {
        while !buffer.is_empty() {
            let end = at.saturating_add(buffer.len() as u64).min(self.size);
            if at >= end {
                buffer.fill(0);
                return Ok(());
            }
            let piece = self.piece(at, end)?;
            let length = usize::try_from(piece.length).unwrap_or(usize::MAX).min(buffer.len());
            let (part, rest) = buffer.split_at_mut(length);
            match piece.place.and_then(|(layer, offset)| Some((self.layers.get(layer)?, offset))) {
                Some((layer, offset)) => fill(layer.source(), part, offset)?,
                None => part.fill(0),
            }
            (buffer, at) = (rest, at + length as u64);
        }
        Ok(())
    }
}
