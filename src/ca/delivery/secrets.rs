//! The passphrases of bundles and the keys that are derived from them: most of the time for a bundle goes
//! there. They are made ahead, where that is possible on cores that would have nothing to do meanwhile.

use std::collections::HashMap;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;

use crate::bundle::{BundleKeys, Stretch};
use crate::ca::CaError;
use crate::key::{Passphrase, os_rng};
use crate::model::Form;

/// The passphrase of one bundle and the keys that are derived from it.
pub(in crate::ca) struct Secret {
    /// The passphrase, where it was generated.
    pub generated: Option<Passphrase>,
    pub keys: BundleKeys,
}

/// How many are made together: a core stretches some passphrases at once in a third of the time.
const TOGETHER: usize = 4;

impl Secret {
    /// The chosen passphrase, or generated ones, stretched for this many bundles of this form.
    fn make(chosen: Option<&Passphrase>, form: Form, count: usize) -> Result<Vec<Self>, CaError> {
        let rng = &mut os_rng();
        if let Some(chosen) = chosen {
            let keys = BundleKeys::derive_all(&vec![chosen; count], form, Stretch::Chosen, rng)?;
            let secret = |keys| Self {
                generated: None,
                keys,
            };
            return Ok(keys.into_iter().map(secret).collect());
        }
        let generated: Vec<Passphrase> = (0..count).map(|_| Passphrase::generate(rng)).collect();
        let passphrases: Vec<&Passphrase> = generated.iter().collect();
        let keys = BundleKeys::derive_all(&passphrases, form, Stretch::Generated, rng)?;
        let secret = |(generated, keys)| Self {
            generated: Some(generated),
            keys,
        };
        Ok(generated.into_iter().zip(keys).map(secret).collect())
    }
}

/// The secrets that were made, or begun, and not used yet.
pub(in crate::ca) struct Secrets {
    chosen: Option<Arc<Passphrase>>,
    made: HashMap<Form, Vec<Secret>>,
    begun: Option<Begun>,
}

/// Secrets that are made in the background, and whoever waits for them helps.
struct Begun {
    work: Arc<Work>,
    sender: Sender<Made>,
    made: Receiver<Made>,
}

/// What is left to be made.
struct Work {
    chosen: Option<Arc<Passphrase>>,
    /// So many together, for bundles of one form.
    left: Mutex<Vec<(Form, usize)>>,
}

/// Secrets that were made together, for bundles of one form.
struct Made {
    form: Form,
    /// A panic goes on where they are waited for, not in a thread that nobody looks at.
    secrets: std::thread::Result<Result<Vec<Secret>, CaError>>,
}

impl Work {
    /// Makes what nobody else has begun, until nothing is left.
    fn carry_out(&self, made: &Sender<Made>) {
        while let Some((form, together)) = self.next() {
            let make = || Secret::make(self.chosen.as_deref(), form, together);
            let secrets = catch_unwind(AssertUnwindSafe(make));
            // Where the work has stopped meanwhile, nobody takes them, and they are wiped.
            let _ = made.send(Made { form, secrets });
        }
    }

    fn next(&self) -> Option<(Form, usize)> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

impl Secrets {
    /// Secrets with this passphrase, or a generated one each.
    pub fn new(chosen: Option<Arc<Passphrase>>) -> Self {
        Self {
            chosen,
            made: HashMap::new(),
            begun: None,
        }
    }

    /// Begins to make secrets for bundles of these forms in the background, beside those that are there.
    ///
    /// # Errors
    /// Of what was begun before, which is waited for.
    pub fn begin(&mut self, forms: impl IntoIterator<Item = Form>) -> Result<(), CaError> {
        self.gather()?;
        let mut counts: HashMap<Form, usize> = HashMap::new();
        for form in forms {
            *counts.entry(form).or_default() += 1;
        }
        let mut left = Vec::new();
        for (form, count) in counts {
            let first = (0..count).step_by(TOGETHER);
            left.extend(first.map(|first| (form, TOGETHER.min(count - first))));
        }
        let threads = available_parallelism().map_or(1, NonZero::get).min(left.len());
        // What is made for one bundle is waited for at once.
        let is_ahead = left.len() > 1;
        let (sender, made) = channel();
        let work = Arc::new(Work {
            chosen: self.chosen.clone(),
            left: Mutex::new(left),
        });
        for _ in 0..threads {
            let (work, sender) = (work.clone(), sender.clone());
            // Where the system starts no more of them, whoever waits makes what is left.
            let _ = std::thread::Builder::new().spawn(move || {
                if is_ahead {
                    step_back();
                }
                work.carry_out(&sender);
            });
        }
        self.begun = Some(Begun { work, sender, made });
        Ok(())
    }

    /// Makes sure that there are secrets for bundles of these forms. Where some are missing it waits for
    /// those that were begun, and makes what is missing then.
    ///
    /// # Errors
    /// Where one cannot be made.
    pub fn make(&mut self, forms: impl IntoIterator<Item = Form>) -> Result<(), CaError> {
        let forms: Vec<Form> = forms.into_iter().collect();
        if self.missing(&forms).is_empty() {
            return Ok(());
        }
        self.gather()?;
        self.begin(self.missing(&forms))?;
        self.gather()
    }

    fn missing(&self, forms: &[Form]) -> Vec<Form> {
        let mut there: HashMap<Form, usize> = HashMap::new();
        there.extend(self.made.iter().map(|(form, made)| (*form, made.len())));
        let is_missing = |form: &&Form| match there.get_mut(form) {
            Some(left @ 1..) => {
                *left -= 1;
                false
            }
            Some(0) | None => true,
        };
        forms.iter().filter(is_missing).copied().collect()
    }

    /// A secret that [`Self::make`] has made for a bundle of this form.
    pub fn take(&mut self, form: Form) -> Option<Secret> {
        self.made.get_mut(&form)?.pop()
    }

    /// Waits for what was begun, and helps.
    fn gather(&mut self) -> Result<(), CaError> {
        let Some(Begun { work, sender, made }) = self.begun.take() else {
            return Ok(());
        };
        work.carry_out(&sender);
        drop(sender);
        for made in made {
            let secrets = made.secrets.unwrap_or_else(|panic| resume_unwind(panic));
            self.made.entry(made.form).or_default().extend(secrets?);
        }
        Ok(())
    }
}

/// Lets this thread have what the others leave of the cores: what the program does meanwhile, somebody waits
/// for. On Linux nice(2) is about the thread, elsewhere about the whole process.
fn step_back() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(10);
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMS: [Form; 3] = [Form::Legacy, Form::Modern, Form::Legacy];

    fn texts(secrets: &mut Secrets, forms: &[Form]) -> Vec<String> {
        let mut take = |form: &Form| secrets.take(*form).unwrap().generated.unwrap();
        forms.iter().map(|form| take(form).expose().to_owned()).collect()
    }

    #[test]
    fn what_was_begun_is_used_and_what_is_missing_is_made() {
        let mut secrets = Secrets::new(None);
        secrets.begin(FORMS).unwrap();
        secrets.make(FORMS).unwrap();
        assert_eq!(
            secrets.made[&Form::Legacy].len(),
            2,
            "those that were begun, and no more"
        );
        let mut all = texts(&mut secrets, &FORMS);
        assert!(secrets.take(Form::Modern).is_none());
        secrets.begin([Form::Modern]).unwrap();
        secrets.make(FORMS).unwrap();
        assert_eq!(secrets.made[&Form::Modern].len(), 1);
        all.extend(texts(&mut secrets, &FORMS));
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 2 * FORMS.len(), "a passphrase serves twice");
    }

    #[test]
    fn a_panic_in_the_background_goes_on_where_the_secrets_are_waited_for() {
        let mut secrets = Secrets::new(None);
        let (sender, begun) = channel();
        let made = Made {
            form: Form::Modern,
            secrets: Err(Box::new("broken")),
        };
        sender.send(made).unwrap();
        let work = Arc::new(Work {
            chosen: None,
            left: Mutex::default(),
        });
        secrets.begun = Some(Begun {
            work,
            sender,
            made: begun,
        });
        let panic = catch_unwind(AssertUnwindSafe(|| secrets.make([Form::Modern]))).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"broken"));
    }

    #[test]
    fn a_chosen_passphrase_is_not_told_again() {
        let chosen = Passphrase::from_octets(zeroize::Zeroizing::new(b"orbit-velvet-canyon-17".to_vec()));
        let mut secrets = Secrets::new(Some(Arc::new(chosen.unwrap())));
        secrets.make([Form::Legacy]).unwrap();
        assert!(secrets.take(Form::Legacy).unwrap().generated.is_none());
    }
}
