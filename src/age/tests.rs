//! Files as a whole: what was written is read, and nothing else is.

use std::io::{self, Read, Write};

use proptest::prelude::*;
use rand_core::Rng;
use zeroize::Zeroizing;

use super::payload::CHUNK;
use super::{AgeError, FileKey, HeaderFault, Identity, Lock, Reader, Sealed, WorkFactor, Writer};
use crate::fuzz::steady_rng;
use crate::key::{Passphrase, os_rng};

fn passphrase(text: &str) -> Passphrase {
    Passphrase::from_octets(Zeroizing::new(text.into())).unwrap()
}

/// The least work there is, which protects nothing.
fn quick() -> WorkFactor {
    WorkFactor::new(1).unwrap()
}

/// Octets of which none is like its neighbours.
fn content(length: usize) -> Vec<u8> {
    let mut octets = vec![0; length];
    steady_rng().fill_bytes(&mut octets);
    octets
}

/// A file for one identity, with its file key.
fn written(identity: &Identity, content: &[u8]) -> (Vec<u8>, FileKey) {
    let mut writer = Writer::to_recipients(Vec::new(), &[identity.recipient()], &mut os_rng()).unwrap();
    writer.write_all(content).unwrap();
    writer.finish().unwrap()
}

fn opened<'a>(file: &'a [u8], identity: &Identity) -> Result<Reader<&'a [u8]>, AgeError> {
    let sealed = Sealed::read(file)?;
    let key = sealed.unlock_with_identities(std::slice::from_ref(identity))?;
    sealed.open(&key)
}

/// What a reader gives, and the error that it ends with.
fn drained(mut reader: impl Read) -> (Vec<u8>, Option<AgeError>) {
    let mut content = Vec::new();
    let error = reader.read_to_end(&mut content).err().map(AgeError::from);
    (content, error)
}

/// All of the content, or why there is none.
fn whole(file: &[u8], identity: &Identity) -> Result<Vec<u8>, AgeError> {
    match drained(opened(file, identity)?) {
        (content, None) => Ok(content),
        (_, Some(error)) => Err(error),
    }
}

fn around_borders() -> impl Strategy<Value = usize> {
    let border = (0..4_usize).prop_map(|chunks| chunks * CHUNK);
    (border, 0..40_usize).prop_map(|(border, more)| (border + more).saturating_sub(20))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_length_comes_back_however_it_is_written_and_read(
        length in around_borders(),
        pieces in prop::collection::vec(1..100_000_usize, 1..8),
    ) {
        let identity = Identity::generate(&mut os_rng());
        let content = content(length);
        let mut writer =
            Writer::to_recipients(Vec::new(), &[identity.recipient()], &mut os_rng()).unwrap();
        let mut rest = content.as_slice();
        for piece in pieces.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (now, later) = rest.split_at(rest.len().min(*piece));
            writer.write_all(now).unwrap();
            writer.flush().unwrap();
            rest = later;
        }
        let (file, _) = writer.finish().unwrap();
        let mut reader = opened(&file, &identity).unwrap();
        let mut read = Vec::new();
        for piece in pieces.iter().cycle() {
            let mut out = vec![0; *piece];
            let count = reader.read(&mut out).unwrap();
            if count == 0 {
                break;
            }
            read.extend_from_slice(&out[..count]);
        }
        prop_assert!(read == content);
    }

    #[test]
    fn whatever_is_cut_off_is_missed(length in around_borders(), cut in any::<prop::sample::Index>()) {
        let identity = Identity::generate(&mut os_rng());
        let content = content(length);
        let (file, _) = written(&identity, &content);
        let short = &file[..cut.index(file.len())];
        let Ok(reader) = opened(short, &identity) else { return Ok(()) };
        let (read, error) = drained(reader);
        prop_assert!(matches!(error, Some(AgeError::CutOff(offset)) if offset == read.len() as u64));
        prop_assert!(content.starts_with(&read) && read.len() % CHUNK == 0);
    }

    #[test]
    fn whatever_follows_is_refused(length in around_borders(), more in 1..100_000_usize) {
        let identity = Identity::generate(&mut os_rng());
        let (mut file, _) = written(&identity, &content(length));
        file.extend(std::iter::repeat_n(0, more));
        prop_assert!(whole(&file, &identity).is_err());
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    let identity = Identity::generate(&mut os_rng());
    let (file, key) = written(&identity, b"content");
    for bit in 0..file.len() * 8 {
        let mut changed = file.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(whole(&changed, &identity).is_err(), "bit {bit}");
        let by_key = Sealed::read(changed.as_slice()).and_then(|sealed| sealed.open(&key));
        assert!(
            by_key.is_err() || drained(by_key.unwrap()).1.is_some(),
            "bit {bit}, by the file key"
        );
    }
    assert_eq!(whole(&file, &identity).unwrap(), b"content");
}

#[test]
fn every_cut_of_a_short_file_is_refused() {
    let identity = Identity::generate(&mut os_rng());
    let (file, _) = written(&identity, b"content");
    let nonce = file.len() - 16 - (b"content".len() + 16);
    for length in 0..file.len() {
        let error = whole(&file[..length], &identity).unwrap_err();
        let is_named = if length < b"age-encryption.org/".len() {
            matches!(error, AgeError::NotAge)
        } else if length < nonce + 16 {
            matches!(error, AgeError::Header(HeaderFault::CutOff))
        } else {
            matches!(error, AgeError::CutOff(0))
        };
        assert!(is_named, "{length} of {}: {error}", file.len());
    }
}

#[test]
fn a_full_last_chunk_is_the_last() {
    let identity = Identity::generate(&mut os_rng());
    let (mut file, _) = written(&identity, &content(CHUNK));
    assert_eq!(whole(&file, &identity).unwrap().len(), CHUNK);
    file.push(0);
    let error = whole(&file, &identity).unwrap_err();
    assert!(
        matches!(error, AgeError::GoesOn(offset) if offset == CHUNK as u64),
        "{error}"
    );
}

#[test]
fn chunks_keep_their_order_and_an_error_is_told_again() {
    let identity = Identity::generate(&mut os_rng());
    let (mut file, _) = written(&identity, &content(3 * CHUNK));
    let begin = file.len() - 3 * (CHUNK + 16);
    let (first, rest) = file[begin..].split_at_mut(CHUNK + 16);
    first.swap_with_slice(&mut rest[..CHUNK + 16]);
    let mut reader = opened(&file, &identity).unwrap();
    for _ in 0..2 {
        let error = AgeError::from(reader.read(&mut [0; 9]).unwrap_err());
        assert!(matches!(error, AgeError::Damaged(0)), "{error}");
    }
}

#[test]
fn each_of_several_recipients_opens_a_file_and_nobody_else() {
    let all = [(); 3].map(|()| Identity::generate(&mut os_rng()));
    let to = all.each_ref().map(Identity::recipient);
    let mut writer = Writer::to_recipients(Vec::new(), &to, &mut os_rng()).unwrap();
    writer.write_all(b"content").unwrap();
    let (file, _) = writer.finish().unwrap();
    for identity in &all {
        assert_eq!(whole(&file, identity).unwrap(), b"content");
    }
    let stranger = Identity::generate(&mut os_rng());
    assert!(matches!(
        whole(&file, &stranger),
        Err(AgeError::NoIdentityMatches)
    ));
    // Among several identities the right one is found.
    let sealed = Sealed::read(file.as_slice()).unwrap();
    let [_, second, _] = all;
    assert!(sealed.unlock_with_identities(&[stranger, second]).is_ok());
    assert_eq!(sealed.lock(), Lock::Recipients);
    assert!(matches!(
        sealed.unlock_with_passphrase(&passphrase("correct horse battery")),
        Err(AgeError::NotByPassphrase)
    ));
}

#[test]
fn a_file_has_one_to_a_thousand_recipients() {
    let identity = Identity::generate(&mut os_rng());
    let to = |count| Writer::to_recipients(Vec::new(), &vec![identity.recipient(); count], &mut os_rng());
    assert!(matches!(to(0).err(), Some(AgeError::NoRecipient)));
    let many = to(1001).err();
    assert!(matches!(
        many,
        Some(AgeError::TooManyRecipients {
            count: 1001,
            most: 1000
        })
    ));
    let (file, _) = to(1000).unwrap().finish().unwrap();
    assert_eq!(whole(&file, &identity).unwrap(), b"");
}

#[test]
fn a_passphrase_opens_its_file_and_a_wrong_one_can_be_followed_by_the_right_one() {
    let right = passphrase("correct horse battery");
    let mut writer = Writer::to_passphrase(Vec::new(), &right, quick(), &mut os_rng()).unwrap();
    writer.write_all(b"content").unwrap();
    let (file, _) = writer.finish().unwrap();
    let sealed = Sealed::read(file.as_slice()).unwrap();
    assert_eq!(sealed.lock(), Lock::Passphrase);
    let wrong = sealed.unlock_with_passphrase(&passphrase("correct horse batterz"));
    assert!(matches!(wrong, Err(AgeError::WrongPassphrase)));
    let identity = Identity::generate(&mut os_rng());
    let by_identity = sealed.unlock_with_identities(&[identity]);
    assert!(matches!(by_identity, Err(AgeError::NotToRecipients)));
    let key = sealed.unlock_with_passphrase(&right).unwrap();
    assert_eq!(drained(sealed.open(&key).unwrap()).0, b"content");
}

#[test]
fn whoever_wrote_a_file_reads_it_back_by_its_key() {
    let identity = Identity::generate(&mut os_rng());
    let (file, key) = written(&identity, b"content");
    let by_key = |file: &[u8], key: &FileKey| {
        let reader = Sealed::read(file)?.open(key)?;
        Ok::<_, AgeError>(drained(reader).0)
    };
    assert_eq!(by_key(&file, &key).unwrap(), b"content");
    let (_, of_another) = written(&identity, b"content");
    assert!(matches!(by_key(&file, &of_another), Err(AgeError::Mac)));
}

#[test]
fn no_two_files_have_anything_in_common() {
    let identity = Identity::generate(&mut os_rng());
    let [one, other] = [(); 2].map(|()| written(&identity, b"content").0);
    let line = |file: &[u8], number| file.split(|octet| *octet == b'\n').nth(number).unwrap().to_vec();
    for number in 1..4 {
        assert_ne!(line(&one, number), line(&other, number), "{number}");
    }
}

#[test]
fn a_file_that_was_not_finished_breaks_off() {
    let identity = Identity::generate(&mut os_rng());
    let mut file = Vec::new();
    let mut writer = Writer::to_recipients(&mut file, &[identity.recipient()], &mut os_rng()).unwrap();
    writer.write_all(&content(3 * CHUNK)).unwrap();
    drop(writer);
    let error = whole(&file, &identity).unwrap_err();
    assert!(
        matches!(error, AgeError::CutOff(offset) if offset == 2 * CHUNK as u64),
        "{error}"
    );
}

/// Takes a number of octets, and has then no room.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let taken = octets.len().min(self.0);
        self.0 -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_could_not_be_written_is_not_gone_on_with() {
    let identity = Identity::generate(&mut os_rng());
    let to = [identity.recipient()];
    let error = Writer::to_recipients(Full(10), &to, &mut os_rng()).err().unwrap();
    assert!(matches!(error, AgeError::Io(error) if error.kind() == io::ErrorKind::StorageFull));
    let mut writer = Writer::to_recipients(Full(CHUNK), &to, &mut os_rng()).unwrap();
    let error = writer.write_all(&content(2 * CHUNK)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert!(writer.write(b"more").is_err() && writer.flush().is_err());
    assert!(writer.finish().is_err());
}

/// Gives its octets one by one, and is interrupted before each.
struct Slow<'a>(&'a [u8], bool);

impl Read for Slow<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.1 = !self.1;
        if self.1 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let count = out.len().min(1);
        self.0.read(&mut out[..count])
    }
}

#[test]
fn a_slow_stream_is_read_to_its_end() {
    let identity = Identity::generate(&mut os_rng());
    let (file, key) = written(&identity, &content(CHUNK + 1));
    let sealed = Sealed::read(Slow(&file, false)).unwrap();
    let (read, error) = drained(sealed.open(&key).unwrap());
    assert!(error.is_none() && read == content(CHUNK + 1));
}

#[test]
fn errors_keep_what_they_are_through_a_stream() {
    let error = AgeError::from(io::Error::from(AgeError::CutOff(7)));
    assert!(matches!(error, AgeError::CutOff(7)));
    let error = AgeError::from(io::Error::from(io::ErrorKind::PermissionDenied));
    let told = io::Error::from(error);
    assert_eq!(told.kind(), io::ErrorKind::PermissionDenied);
}
