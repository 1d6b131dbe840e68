//! Renders a template and its values to the text of a configuration.

use std::path::Path;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior};

use super::language::{Language, Unsayable};
use super::removed::spellings;
use super::target::Template;
use crate::model::fault::{Fault, Kind};

/// The errors by which a configuration cannot be rendered.
#[derive(Debug, thiserror::Error)]
pub enum ConsumerError {
    /// A path or a name that the language of the configuration cannot express.
    #[error(transparent)]
    Unsayable(#[from] Unsayable),
    /// A path that is not UTF-8.
    #[error("the path {0} is not UTF-8")]
    NotText(String),
    /// A path that depends on where the server is started.
    #[error("the path {0} is not absolute")]
    Relative(String),
    /// HAProxy finds a key by the name of its certificate.
    #[error(
        "HAProxy reads the key from beside the certificate: X.crt and X.key, and not {certificate} and {key}"
    )]
    KeyElsewhere {
        /// The certificate's file.
        certificate: String,
        /// The key's file.
        key: String,
    },
    /// A template is faulty.
    #[error("the template {name} does not work, line {line}: {why}")]
    Template {
        /// Its path below `templates/`.
        name: &'static str,
        /// The line in the template.
        line: usize,
        /// The template engine's message.
        why: String,
    },
    /// A template of a home that was written when a server had one host.
    #[error("the template {name} is written for one host: it does not know `{value}`")]
    OneHost {
        /// Its path below `templates/`.
        name: &'static str,
        /// The value that a template for any number of hosts uses.
        value: &'static str,
    },
    /// More hosts than the form has room for.
    #[error("curl takes the pins of one host, and there are {0}")]
    SeveralHosts(usize),
}

impl Fault for ConsumerError {
    fn kind_and_code(&self) -> (Kind, &'static str) {
        let kind = match self {
            Self::Unsayable(_)
            | Self::NotText(_)
            | Self::Relative(_)
            | Self::KeyElsewhere { .. }
            | Self::SeveralHosts(_) => Kind::BadRequest,
            Self::Template { .. } | Self::OneHost { .. } => Kind::Damaged,
        };
        (kind, "refused")
    }
}

macro_rules! parts {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_str!(concat!("../../templates/", $name)))),+]
    };
}

/// What templates include, by the name that they include it by: what several have in common, and the sections
/// of a long one.
const PARTS: [(&str, &str); 9] = parts![
    "part/accepted-devices.mjs",
    "part/tell-device.mjs",
    "requests/followed-devices.mjs",
    "requests/signature.mjs",
    "requests/keys.mjs",
    "requests/body.mjs",
    "requests/replays.mjs",
    "requests/forms.mjs",
    "requests/bound-tokens.mjs",
];

/// A path as text, which this language can express.
pub(super) fn absolute(path: &Path, language: Language) -> Result<String, ConsumerError> {
    let shown = || path.display().to_string();
    let text = path.to_str().ok_or_else(|| ConsumerError::NotText(shown()))?;
    if !path.is_absolute() {
        return Err(ConsumerError::Relative(shown()));
    }
    language.quote(text)?;
    // Templates put the names of files behind it.
    Ok(text.strip_suffix('/').unwrap_or(text).to_owned())
}

/// A value that needs no quoting in any language, because its type admits nothing that would.
pub(super) fn plain(value: impl ToString) -> Value {
    Value::from_safe_string(value.to_string())
}

/// Renders a template with these values.
pub(super) fn render(built_in: Template, template: &str, values: Value) -> Result<String, ConsumerError> {
    let name = built_in.name;
    environment(built_in.language)
        .and_then(|environment| environment.render_named_str(name, template, values))
        .map_err(|error| broken(name, &error))
}

/// Whether a template makes anything of a value of this name.
pub(super) fn uses(built_in: Template, template: &str, value: &str) -> Result<bool, ConsumerError> {
    let name = built_in.name;
    let environment = environment(built_in.language).map_err(|error| broken(name, &error))?;
    let template = environment.template_from_named_str(name, template);
    let named = template
        .map_err(|error| broken(name, &error))?
        .undeclared_variables(false);
    Ok(named.contains(value))
}

fn broken(name: &'static str, error: &Error) -> ConsumerError {
    ConsumerError::Template {
        name,
        line: error.line().unwrap_or(1),
        why: match error.detail() {
            Some(detail) => format!("{} ({detail})", error.kind()),
            None => error.kind().to_string(),
        },
    }
}

fn environment(language: Language) -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    // A line with nothing but a tag leaves no line behind.
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .keep_trailing_newline(true)
        .build();
    environment.set_syntax(syntax?);
    for (name, text) in PARTS {
        environment.add_template(name, text)?;
    }
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    // A misspelt name in somebody's template is an error, not a configuration with a hole.
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_formatter(move |out, _, value| {
        let wrong = |why: String| Error::new(ErrorKind::InvalidOperation, why);
        match value.as_str() {
            Some(text) if value.is_safe() => out.write_str(text).map_err(Error::from),
            Some(text) => {
                let quoted = language.quote(text).map_err(|why| wrong(why.to_string()))?;
                out.write_str(&quoted).map_err(Error::from)
            }
            None if value.is_number() => out.write_str(&value.to_string()).map_err(Error::from),
            None => Err(wrong(format!("{} is no text and no number", value.kind()))),
        }
    });
    // A command in a comment is in the shell's language, whatever the file's is.
    environment.add_filter("shell", |text: &str| match Language::Shell.quote(text) {
        Ok(word) => Ok(Value::from_safe_string(word)),
        Err(why) => Err(Error::new(ErrorKind::InvalidOperation, why.to_string())),
    });
    // For servers that take a header off by its whole name alone.
    environment.add_filter("spellings", |name: &str, marks: &str| -> Vec<Value> {
        spellings(name, marks).iter().map(plain).collect()
    });
    Ok(environment)
}
