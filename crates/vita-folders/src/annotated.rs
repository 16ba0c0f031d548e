//! Names that say at their end which directory they lie in: `a.png [output]`.

use crate::folders::Place;

/// A name without its suffix, and the place that the suffix named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Annotated<'a> {
    /// Without the suffix.
    pub name: &'a str,
    /// Where it lies, if the name says so.
    pub place: Option<Place>,
}

impl<'a> Annotated<'a> {
    /// Takes ` [input]`, ` [output]` or ` [temp]` off the end of a name.
    pub fn parse(text: &'a str) -> Self {
        for place in Place::ALL {
            let name = text.strip_suffix(']').and_then(|text| text.strip_suffix(place.name()));
            if let Some(name) = name.and_then(|text| text.strip_suffix('[')) {
                return Self { name: name.strip_suffix(' ').unwrap_or(name), place: Some(place) };
            }
        }
        Self { name: text, place: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_name_a_place() {
        for (text, name, place) in [
            ("a.png", "a.png", None),
            ("a.png [output]", "a.png", Some(Place::Output)),
            ("b/a.png [temp]", "b/a.png", Some(Place::Temp)),
            ("a.png[input]", "a.png", Some(Place::Input)),
            ("a.png [user]", "a.png [user]", None),
            ("[output]", "", Some(Place::Output)),
            ("]", "]", None),
        ] {
            assert_eq!(Annotated::parse(text), Annotated { name, place }, "{text}");
        }
    }
}
