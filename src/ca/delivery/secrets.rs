//! The passphrases of bundles and the keys that are derived from them: most of the time for a bundle goes
//! there. They are made ahead, where that is possible on cores that would have nothing to do meanwhile.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use crate::bundle::{BundleKeys, Stretch};
use crate::ca::CaError;
use crate::ca::threads::demand_threads;
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
    begun: Option<Receiver<Made>>,
}

/// Secrets that were made together in the background, for bundles of one form.
struct Made {
    form: Form,
    /// A panic goes on where they are waited for: in the background it would end the process.
    secrets: std::thread::Result<Result<Vec<Secret>, CaError>>,
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
    /// Of what was begun before, which is waited for; and where the system starts no threads.
    pub fn begin(&mut self, forms: impl IntoIterator<Item = Form>) -> Result<(), CaError> {
        self.gather()?;
        demand_threads()?;
        let mut counts: HashMap<Form, usize> = HashMap::new();
        for form in forms {
            *counts.entry(form).or_default() += 1;
        }
        let (sender, begun) = channel();
        for (form, count) in counts {
            for first in (0..count).step_by(TOGETHER) {
                let together = TOGETHER.min(count - first);
                let (sender, chosen) = (sender.clone(), self.chosen.clone());
                rayon::spawn(move || {
                    let make = || Secret::make(chosen.as_deref(), form, together);
                    let secrets = catch_unwind(AssertUnwindSafe(make));
                    // Where the work has stopped meanwhile, nobody takes them, and they are wiped.
                    let _ = sender.send(Made { form, secrets });
                });
            }
        }
        self.begun = Some(begun);
        Ok(())
    }

    /// Makes sure that there are secrets for bundles of these forms: waits for those that were begun, and
    /// makes what is missing then.
    ///
    /// # Errors
    /// Where one cannot be made.
    pub fn make(&mut self, forms: impl IntoIterator<Item = Form>) -> Result<(), CaError> {
        self.gather()?;
        let mut there: HashMap<Form, usize> = HashMap::new();
        there.extend(self.made.iter().map(|(form, made)| (*form, made.len())));
        let is_missing = |form: &Form| match there.get_mut(form) {
            Some(left @ 1..) => {
                *left -= 1;
                false
            }
            Some(0) | None => true,
        };
        self.begin(forms.into_iter().filter(is_missing).collect::<Vec<_>>())?;
        self.gather()
    }

    /// A secret that [`Self::make`] has made for a bundle of this form.
    pub fn take(&mut self, form: Form) -> Option<Secret> {
        self.made.get_mut(&form)?.pop()
    }

    /// Waits for what was begun.
    fn gather(&mut self) -> Result<(), CaError> {
        for made in self.begun.take().into_iter().flatten() {
            let secrets = made.secrets.unwrap_or_else(|panic| resume_unwind(panic));
            self.made.entry(made.form).or_default().extend(secrets?);
        }
        Ok(())
    }
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
        drop(sender);
        secrets.begun = Some(begun);
        let panic = catch_unwind(AssertUnwindSafe(|| secrets.make([]))).unwrap_err();
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
