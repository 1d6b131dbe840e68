//! Malformed input for every parser: valid input that was damaged, in the same way in each run.
//!
//! The damage is done by a generator of bolero. It is driven by a counter and not by chance, so that a fault
//! that one run finds is found by the next.

use std::convert::Infallible;
use std::fmt;
use std::fs::OpenOptions;
use std::io::Write;
use std::ops::Bound;
use std::panic::AssertUnwindSafe;
use std::path::Path;

use bolero::bolero_engine::{Failure, driver, panic, rng};
use bolero::{Driver, Engine, Test, TestTarget, ValueGenerator};
use rand_core::{TryCryptoRng, TryRng};

pub mod seeds;
#[path = "../../tests/support/soak.rs"]
mod soak;

/// How many damaged inputs a reader gets.
const INPUTS: usize = 20_000;
/// The most damages of one input.
const DAMAGES: usize = 5;
/// The longest run of octets that is taken out, repeated or moved elsewhere.
const RUN: usize = 40;
/// Octets on the edges: of numbers, of lengths in DER, of ASCII.
const EDGES: [u8; 10] = [0, 1, 0x7f, 0x80, 0x81, 0x84, 0xa0, 0xff, b'"', b'\n'];
/// What texts are damaged with.
const WORDS: [&str; 24] = [
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "1e999",
    "-1",
    "0",
    "null",
    "{}",
    "[]",
    "[[[[[[[[",
    "\"",
    "\\",
    "\\ud800",
    "\r\n",
    "\n\n",
    "\0",
    "\u{202e}",
    "\u{feff}",
    "ß",
    "..",
    "/",
    ":",
    "=",
    "0000-00-00T00:00:60Z",
];

/// Has `take` read 20,000 inputs (in a soak ten times as many) that are `valid` ones with some damage. It
/// says whether it took what it was given, which it must where nothing is damaged, and panics where
/// something else than a refusal comes of the damage.
pub fn damaged<V: AsRef<[u8]>>(valid: &[V], take: impl Fn(&[u8]) -> bool) {
    let valid: Vec<Vec<u8>> = valid.iter().map(|valid| valid.as_ref().to_vec()).collect();
    for octets in &valid {
        assert!(take(octets), "refused undamaged: {:?}", Octets(octets.clone()));
    }
    let take = AssertUnwindSafe(take);
    TestTarget::new(Steady)
        .with_generator(Damaged(valid))
        .for_each(move |octets: &Octets| {
            take(&octets.0);
        });
}

/// As [`damaged`], of texts. What is damaged beyond UTF-8 is made UTF-8 again.
pub fn damaged_texts<V: AsRef<[u8]>>(valid: &[V], take: impl Fn(&str) -> bool) {
    damaged(valid, |octets| take(&String::from_utf8_lossy(octets)));
}

/// Puts damaged octets into a file for what reads files. It is not cut to nothing first: what replaces a file
/// in that way ext4 brings to the disk at once, and this is done often.
pub fn put(path: &Path, octets: &[u8]) {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .unwrap();
    file.write_all(octets).unwrap();
    file.set_len(octets.len() as u64).unwrap();
}

/// An input, shown so that it can be put into a test.
struct Octets(Vec<u8>);

impl fmt::Debug for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// Damages one of these.
struct Damaged(Vec<Vec<u8>>);

impl ValueGenerator for Damaged {
    type Output = Octets;

    fn generate<D: Driver>(&self, driver: &mut D) -> Option<Octets> {
        let mut octets = self.one(driver)?.clone();
        for _ in 0..below(driver, DAMAGES)? + 1 {
            self.damage(&mut octets, driver)?;
        }
        Some(Octets(octets))
    }
}

impl Damaged {
    fn one<D: Driver>(&self, driver: &mut D) -> Option<&Vec<u8>> {
        self.0.get(below(driver, self.0.len())?)
    }

    fn damage<D: Driver>(&self, octets: &mut Vec<u8>, driver: &mut D) -> Option<()> {
        let place = below(driver, octets.len() + 1)?;
        match below(driver, 9)? {
            0 | 1 => {
                let bit = 1 << below(driver, 8)?;
                if let Some(octet) = octets.get_mut(place) {
                    *octet ^= bit;
                }
            }
            2 => {
                let edge = EDGES[below(driver, EDGES.len())?];
                if let Some(octet) = octets.get_mut(place) {
                    *octet = edge;
                }
            }
            3 => octets.insert(place, driver.produce()?),
            4 => drop(octets.drain(run(octets, place, driver)?)),
            5 => {
                let repeated = octets[run(octets, place, driver)?].to_vec();
                let elsewhere = below(driver, octets.len() + 1)?;
                octets.splice(elsewhere..elsewhere, repeated);
            }
            6 => {
                let other = self.one(driver)?;
                let begin = below(driver, other.len() + 1)?;
                let foreign = other[run(other, begin, driver)?].to_vec();
                octets.splice(place..place, foreign);
            }
            7 => {
                let word = WORDS[below(driver, WORDS.len())?];
                let instead = run(octets, place, driver)?;
                octets.splice(instead, word.bytes());
            }
            _ => octets.truncate(place),
        }
        Some(())
    }
}

/// A short run of octets from `begin` on; often none.
fn run<D: Driver>(octets: &[u8], begin: usize, driver: &mut D) -> Option<std::ops::Range<usize>> {
    let longest = RUN.min(octets.len() - begin);
    let length = if driver.produce()? {
        below(driver, longest + 1)?
    } else {
        0
    };
    Some(begin..begin + length)
}

fn below<D: Driver>(driver: &mut D, end: usize) -> Option<usize> {
    driver.gen_usize(Bound::Included(&0), Bound::Excluded(&end))
}

/// Drives a generator by the number of the input.
struct Steady;

impl<T: Test<Value: fmt::Debug>> Engine<T> for Steady {
    type Output = ();

    /// `BOLERO_RANDOM_SEED` is the number of the first input, `BOLERO_RANDOM_ITERATIONS` how many come from
    /// there on.
    fn run(self, mut test: T, options: driver::Options) {
        let asked = rng::Options::default();
        let count = asked.iterations.unwrap_or_else(|| soak::rounds(INPUTS));
        // Each panic is one too many: it is told once, with what it came of.
        panic::set_hook();
        panic::forward_panic(false);
        for number in (asked.seed.unwrap_or_default()..).take(count) {
            let chosen = chosen(number);
            if let Err(error) = test.test(&mut chosen.as_slice()) {
                let least = test.shrink(chosen.clone(), Some(number), &options);
                let failure = least.unwrap_or_else(|| Failure {
                    error,
                    input: test.generate_value(&mut chosen.as_slice()),
                    seed: Some(number),
                });
                panic::forward_panic(true);
                panic!("{failure}");
            }
        }
        panic::forward_panic(true);
    }
}

/// What decides the damage of the input of this number.
fn chosen(number: u128) -> Vec<u8> {
    let mut chosen = vec![0; 256];
    Mixed(
        u64::try_from(number)
            .unwrap_or_default()
            .wrapping_mul(0x9e6c_63d0_876a_68ee),
    )
    .fill(&mut chosen);
    chosen
}

/// Randomness that is the same in every run: for keys that protect nothing.
pub fn steady_rng() -> impl rand_core::CryptoRng {
    Mixed(0)
}

/// SplitMix64.
struct Mixed(u64);

impl Mixed {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn fill(&mut self, octets: &mut [u8]) {
        for some in octets.chunks_mut(8) {
            some.copy_from_slice(&self.next().to_le_bytes()[..some.len()]);
        }
    }
}

impl TryRng for Mixed {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.next() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.next())
    }

    fn try_fill_bytes(&mut self, octets: &mut [u8]) -> Result<(), Infallible> {
        self.fill(octets);
        Ok(())
    }
}

impl TryCryptoRng for Mixed {}
