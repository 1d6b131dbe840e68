//! The files of a publication: path, content, length and hash of each. The part of the content that lists
//! revocations is rendered each time it is read and never held in memory as a whole: revoked.map and the PEM
//! are together three times as long as the list itself.

use std::borrow::Cow;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::model::Revocation;
use crate::x509::pem;

/// A file of a publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its path in its area.
    pub path: &'static str,
    /// Its content, unless it is in every place already or is only compared with what is published.
    pub body: Option<Body>,
    /// SHA-256 of its content.
    pub sha256: [u8; 32],
    /// Its length in octets.
    pub size: u64,
    /// Where a manifest lists it.
    pub section: Section,
}

/// The parts of a manifest that list files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// `files`: those that every reader of a publication knows.
    Files,
    /// `recent`: the short lists. A reader of an earlier version does not look for them.
    Recent,
    /// `optional`: a reader that does not know one of them leaves it out.
    Optional,
}

impl File {
    pub(super) fn new(path: &'static str, body: Body) -> Self {
        let mut hash = Sha256::new();
        let mut size = 0;
        for piece in body.pieces() {
            hash.update(&piece);
            size += piece.len() as u64;
        }
        Self {
            path,
            body: Some(body),
            sha256: hash.finalize().into(),
            size,
            section: Section::Files,
        }
    }

    /// A file that is in every place already.
    pub(super) fn standing(path: &'static str, size: u64, sha256: [u8; 32]) -> Self {
        Self {
            path,
            body: None,
            sha256,
            size,
            section: Section::Files,
        }
    }

    /// The same, listed in this part of the manifest.
    pub(super) fn listed_in(self, section: Section) -> Self {
        Self { section, ..self }
    }

    /// Its content, to be written.
    ///
    /// # Errors
    /// Where it should stand already, and somebody has taken it away a moment ago.
    pub(super) fn body(&self) -> Result<&Body, Gone> {
        self.body.as_ref().ok_or(Gone(self.path))
    }
}

/// The content of a file in the making. It is kept where it is to be written, and hashed alone where it is
/// only compared with what stands: long lists need no memory then.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    kept: Option<Vec<u8>>,
    hash: Sha256,
    size: u64,
}

impl Draft {
    pub(super) fn new(is_kept: bool) -> Self {
        Self {
            kept: is_kept.then(Vec::new),
            hash: Sha256::new(),
            size: 0,
        }
    }

    pub(super) fn push(&mut self, text: &str) {
        self.hash.update(text);
        self.size += text.len() as u64;
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(text.as_bytes());
        }
    }

    /// The file that it is.
    pub(super) fn into_file(self, path: &'static str) -> File {
        File {
            path,
            body: self.kept.map(Body::of),
            sha256: self.hash.finalize().into(),
            size: self.size,
            section: Section::Files,
        }
    }
}

/// The error for a file that was there when the publication was made, and is not any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0}, which stood there, was changed or taken away while the rest was written: `pki publish` writes it anew"
)]
pub struct Gone(pub &'static str);

/// The content of a file, in parts that other files share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// As they are.
    Octets(Arc<Vec<u8>>),
    /// As the PEM block with this label.
    Pem(&'static str, Arc<Vec<u8>>),
    /// As lines of an nginx map.
    RevokedMap(Arc<Vec<Revocation>>),
}

impl Body {
    pub(super) fn of(octets: impl Into<Arc<Vec<u8>>>) -> Self {
        Self(vec![Part::Octets(octets.into())])
    }

    pub(super) fn pem(label: &'static str, der: Arc<Vec<u8>>) -> Self {
        Self(vec![Part::Pem(label, der)])
    }

    pub(super) fn revoked_map(revoked: Arc<Vec<Revocation>>) -> Self {
        Self(vec![Part::RevokedMap(revoked)])
    }

    pub(super) fn join(bodies: &[&Self]) -> Self {
        Self(bodies.iter().flat_map(|body| body.0.iter().cloned()).collect())
    }

    /// The content, piece by piece.
    pub fn pieces(&self) -> impl Iterator<Item = Cow<'_, [u8]>> {
        self.0.iter().flat_map(Part::pieces)
    }
}

impl Part {
    fn pieces(&self) -> Box<dyn Iterator<Item = Cow<'_, [u8]>> + '_> {
        /// Revocations in one piece of a map: some 36 KB.
        const LINES: usize = 1 << 10;
        match self {
            Self::Octets(octets) => Box::new(std::iter::once(Cow::Borrowed(octets.as_slice()))),
            Self::Pem(label, der) => Box::new(pem::pieces(label, der).map(|piece| piece.into_bytes().into())),
            Self::RevokedMap(revoked) => Box::new(
                revoked
                    .chunks(LINES)
                    .map(|some| map_lines(some).into_bytes().into()),
            ),
        }
    }
}

fn map_lines(revoked: &[Revocation]) -> String {
    revoked
        .iter()
        .map(|revocation| format!("{} 1;\n", revocation.serial))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Reason, Serial, Time};

    fn text(body: &Body) -> String {
        String::from_utf8(body.pieces().flat_map(Cow::into_owned).collect()).unwrap()
    }

    #[test]
    fn a_body_is_its_text_in_pieces_that_stay_short() {
        let der = Arc::new(vec![7; 300_000]);
        let revoked: Vec<Revocation> = (0..3000_u128)
            .map(|number| Revocation {
                serial: Serial::from_random(number.to_be_bytes()),
                at: Time::from_unix(0),
                reason: Reason::Lost,
            })
            .collect();
        let lines: String = revoked.iter().map(|r| format!("{} 1;\n", r.serial)).collect();
        let (block, map) = (
            Body::pem(pem::CRL, der.clone()),
            Body::revoked_map(revoked.into()),
        );
        assert_eq!(text(&block), pem::encode(pem::CRL, &der));
        assert_eq!(text(&map), lines);
        let both = File::new("both", Body::join(&[&block, &map]));
        let whole = text(&block) + &lines;
        assert_eq!(text(both.body().unwrap()), whole);
        assert_eq!(both.sha256[..], Sha256::digest(&whole)[..]);
        assert_eq!(both.size, whole.len() as u64);
        assert!(both.body().unwrap().pieces().all(|piece| piece.len() < 100_000));
    }
}
