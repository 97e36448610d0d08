//! The scalars of the schema: each reads and writes exactly what the rest of Cauri's surface does.

pub mod account_address;
pub mod currency;
pub mod decimal;
pub mod entry_id;
pub mod hash;
pub mod position;
pub mod stream;
pub mod timestamp;

pub use account_address::AccountAddress;
pub use currency::Currency;
pub use decimal::Decimal;
pub use entry_id::EntryId;
pub use hash::Hash;
pub use position::Position;
pub use stream::Stream;
pub use timestamp::Timestamp;

/// A scalar that is a JSON string and has the text form of a type of the domain.
///
/// The documentation is the schema's text, so it stands on both items.
macro_rules! text_scalar {
    ($name:ident($inner:ty), $graphql:tt, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name(pub $inner);

        #[doc = $doc]
        #[async_graphql::Scalar(name = $graphql)]
        impl async_graphql::ScalarType for $name {
            fn parse(value: async_graphql::Value) -> async_graphql::InputValueResult<Self> {
                match value {
                    async_graphql::Value::String(text) => text.parse().map(Self).map_err(async_graphql::InputValueError::custom),
                    other => Err(async_graphql::InputValueError::expected_type(other)),
                }
            }

            fn to_value(&self) -> async_graphql::Value {
                async_graphql::Value::String(self.0.to_string())
            }
        }

        impl From<$inner> for $name {
            fn from(inner: $inner) -> Self {
                Self(inner)
            }
        }
    };
}
pub(crate) use text_scalar;
