//! Quoting of text for configuration files: one quoting for each language, and an error for text that the
//! language has no way to express.

use crate::model::text::{harmless, quoted};

/// The language of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// nginx: a string in double quotes. A dollar sign is a variable wherever one may stand, and has no
    /// escape.
    Nginx,
    /// HAProxy: a bare word, because the arguments of its functions have a second level of quoting.
    Haproxy,
    /// Apache httpd: a string in double quotes. `$`, `%` and `\` are read once more by its expressions.
    Apache,
    /// Caddyfile: a string in double quotes. Braces are placeholders.
    Caddyfile,
    /// FreeRADIUS: a string in double quotes. Dollar and percent signs are expanded.
    Freeradius,
    /// Mosquitto: the rest of the line, as it is.
    Mosquitto,
    /// PostgreSQL: a string in single quotes, in which a backslash escapes.
    Postgresql,
    /// OpenVPN: a string in double quotes, in which a backslash escapes.
    Openvpn,
    /// JSON, which is also a string of JavaScript and of YAML.
    Json,
    /// XML: text or the value of an attribute.
    Xml,
    /// Kotlin: a string in double quotes. A dollar sign is a template.
    Kotlin,
    /// A POSIX shell: a word in single quotes.
    Shell,
}

/// The error for a text that a language cannot express.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text} cannot stand in {place}, because of its {character}")]
pub struct Unsayable {
    text: String,
    place: &'static str,
    character: String,
}

impl Language {
    /// Quotes `text` for a file of this language, quotation marks included.
    ///
    /// # Errors
    /// Where the language cannot express it, or a control character is in it.
    pub fn quote(self, text: &str) -> Result<String, Unsayable> {
        let refused = |character: String| Unsayable {
            text: quoted(text),
            place: self.place(),
            character,
        };
        if harmless(text).is_err() {
            return Err(refused("control or invisible character".into()));
        }
        if let Some(found) = text.chars().find(|c| !self.can_say(*c)) {
            return Err(refused(format!("{found:?}")));
        }
        Ok(match self {
            Self::Nginx | Self::Openvpn => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
            Self::Haproxy | Self::Mosquitto => text.to_owned(),
            Self::Apache | Self::Caddyfile => format!("\"{}\"", text.replace('"', "\\\"")),
            Self::Freeradius => format!("\"{text}\""),
            Self::Postgresql => format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''")),
            Self::Json => serde_json::Value::from(text).to_string(),
            Self::Xml => text
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;")
                .replace('"', "&quot;")
                .replace('\'', "&#39;"),
            Self::Kotlin => format!(
                "\"{}\"",
                text.replace('\\', "\\\\")
                    .replace('"', "\\\"")
                    .replace('$', "\\$")
            ),
            Self::Shell => format!("'{}'", text.replace('\'', "'\\''")),
        })
    }

    fn can_say(self, c: char) -> bool {
        match self {
            // An include takes *, ? and [ for a pattern.
            Self::Nginx => !"$*?[".contains(c),
            Self::Haproxy => c.is_alphanumeric() || "/._-+:@=~".contains(c),
            Self::Apache => !"$%\\*?[".contains(c),
            Self::Caddyfile => !"{}\\`*?[".contains(c),
            Self::Freeradius => !"$%\\\"".contains(c),
            Self::Mosquitto | Self::Postgresql | Self::Openvpn => true,
            Self::Json | Self::Kotlin | Self::Shell => true,
            // XML 1.0 §2.2: what it has no way to write, escaped or not.
            Self::Xml => matches!(c, ' '..='\u{FFFD}' | '\u{10000}'..),
        }
    }

    fn place(self) -> &'static str {
        match self {
            Self::Nginx => "a configuration of nginx",
            Self::Haproxy => "a configuration of HAProxy",
            Self::Apache => "a configuration of Apache",
            Self::Caddyfile => "a Caddyfile",
            Self::Freeradius => "a configuration of FreeRADIUS",
            Self::Mosquitto => "a configuration of Mosquitto",
            Self::Postgresql => "a configuration of PostgreSQL",
            Self::Openvpn => "a configuration of OpenVPN",
            Self::Json => "JSON",
            Self::Xml => "XML",
            Self::Kotlin => "Kotlin",
            Self::Shell => "a shell script",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_language_quotes_its_own_way() {
        for (language, text, said) in [
            (Language::Nginx, r#"/a b/"c"\d;{}"#, r#""/a b/\"c\"\\d;{}""#),
            (Language::Haproxy, "/etc/pki/a-b_1.crt", "/etc/pki/a-b_1.crt"),
            (Language::Apache, r#"/a b/"c""#, r#""/a b/\"c\"""#),
            (Language::Caddyfile, r#"/a b/"c""#, r#""/a b/\"c\"""#),
            (Language::Freeradius, "/a b/'c'", "\"/a b/'c'\""),
            (Language::Mosquitto, "/a 'b' \"c\" #d", "/a 'b' \"c\" #d"),
            (Language::Postgresql, r"/a\b'c", r"'/a\\b''c'"),
            (Language::Openvpn, r#"/a "b"\c"#, r#""/a \"b\"\\c""#),
            (Language::Json, r#"/a/"b\${}"#, r#""/a/\"b\\${}""#),
            (
                Language::Xml,
                r#"<a b="c">&'"#,
                "&lt;a b=&quot;c&quot;&gt;&amp;&#39;",
            ),
            (Language::Kotlin, r#"a$b"c\"#, r#""a\$b\"c\\""#),
            (Language::Shell, "a'$(b)", r"'a'\''$(b)'"),
        ] {
            assert_eq!(language.quote(text).unwrap(), said, "{language:?}");
        }
    }

    #[test]
    fn what_a_language_cannot_say_is_refused_by_name() {
        for (language, text, named) in [
            (Language::Nginx, "/a$b", "'$'"),
            (Language::Nginx, "/a*", "'*'"),
            (Language::Haproxy, "/a b", "' '"),
            (Language::Haproxy, "/a,b", "','"),
            (Language::Haproxy, "/a$b", "'$'"),
            (Language::Apache, "/a%{b}", "'%'"),
            (Language::Apache, "/a${b}", "'$'"),
            (Language::Caddyfile, "/{$HOME}", "'{'"),
            (Language::Freeradius, "/a${b}", "'$'"),
            (Language::Freeradius, "/a\"b", "'\"'"),
            (Language::Shell, "a\nb", "control"),
            (Language::Json, "a\u{202E}b", "invisible"),
            (Language::Xml, "a\u{FFFF}", "FFFF"),
        ] {
            let told = language.quote(text).unwrap_err().to_string();
            assert!(
                told.to_lowercase().contains(&named.to_lowercase()),
                "{language:?} {text:?}: {told}"
            );
        }
    }
}
