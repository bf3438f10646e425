// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a misspelt word may have been.

use std::fmt;

/// How much alike two words are, of 1, at least.
const LIKENESS: f64 = 0.75;

/// The name that is most like a word, if any is.
#[must_use]
pub fn similar<'n>(word: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let likeness = names
        .into_iter()
        .map(|name| (strsim::jaro_winkler(name, word), name));
    likeness
        .filter(|&(likeness, _)| likeness > LIKENESS)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| name)
}

/// The question whether that was meant, behind a message, if there is such a name.
#[derive(Clone, Copy, Debug)]
pub struct DidYouMean<'n>(pub Option<&'n str>);

impl fmt::Display for DidYouMean<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(similar) => write!(f, ", did you mean '{similar}'?"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_names_are_found_and_others_not() {
        let names = ["queue", "queues", "hooks"];
        for (word, expected) in [
            ("quue", Some("queue")),
            ("hook", Some("hooks")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(similar(word, names), expected, "{word}");
        }
        assert_eq!(
            DidYouMean(Some("queue")).to_string(),
            ", did you mean 'queue'?"
        );
        assert_eq!(DidYouMean(None).to_string(), "");
    }
}
