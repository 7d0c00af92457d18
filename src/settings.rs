//! A section of the configuration, said once: its keys with type, default and documentation.
//!
//! A floor that can be configured declares its options with [`settings!`](crate::settings::settings); `config` reads them from file and
//! environment, and prints them with these very words as comments. It knows no section by name.

/// A section: a struct whose fields are its keys.
pub trait Section: serde::Serialize + serde::de::DeserializeOwned + Default {
    /// The table's name in the file, `[web]`.
    const NAME: &'static str;
    /// What the section is about.
    const ABOUT: &'static str;
    /// Its keys in order: name and documentation.
    const KEYS: &'static [(&'static str, &'static str)];
}

/// Declares a [`Section`]: documentation, name, then the keys with their documentation, type and default.
macro_rules! settings {
    ($(#[doc = $about:literal])+ $name:ident in $section:literal {
        $($(#[doc = $doc:literal])+ $field:ident: $type:ty = $default:expr,)+
    }) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            $($(#[doc = $doc])+ pub $field: $type,)+
        }

        impl Default for $name {
            fn default() -> $name {
                $name { $($field: $default,)+ }
            }
        }

        impl $crate::settings::Section for $name {
            const NAME: &'static str = $section;
            const ABOUT: &'static str = concat!($($about, "\n",)+);
            const KEYS: &'static [(&'static str, &'static str)] = &[$((stringify!($field), concat!($($doc, "\n",)+)),)+];
        }
    };
}
pub(crate) use settings;
