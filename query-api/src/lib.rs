//! GraphQL over the read models, every answer as of a position.
