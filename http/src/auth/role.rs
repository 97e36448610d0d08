//! Who may do what: four roles, five permissions and the one table that relates them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What somebody is allowed to be, as the `roles` claim of a token says it.
///
/// The order of the variants is the order of precedence: the first one a principal has names them in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Runs the deployment: everything below, and what changes the deployment itself.
    Admin,
    /// Moves money: commands and queries.
    Operator,
    /// Examines: queries, and what is for auditors alone. Never writes.
    Auditor,
    /// Looks: queries only, the journal's events among them.
    Reader,
}

impl Role {
    /// Every role, by precedence.
    pub const ALL: [Self; 4] = [Self::Admin, Self::Operator, Self::Auditor, Self::Reader];

    /// Whether this role grants `permission`.
    #[must_use]
    pub const fn may(self, permission: Permission) -> bool {
        match self {
            Self::Admin => true,
            Self::Operator => matches!(permission, Permission::Write | Permission::Read | Permission::Inspect),
            Self::Auditor => matches!(permission, Permission::Audit | Permission::Read | Permission::Inspect),
            Self::Reader => matches!(permission, Permission::Read),
        }
    }

    /// The name of the role in tokens, configuration and the journal.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Auditor => "auditor",
            Self::Reader => "reader",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Admin => 1,
            Self::Operator => 1 << 1,
            Self::Auditor => 1 << 2,
            Self::Reader => 1 << 3,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(name: &str) -> Result<Self, UnknownRole> {
        // Exactly as written: a token that says `Admin` was issued by something that does not know Cauri's roles.
        Self::ALL.into_iter().find(|role| role.as_str() == name).ok_or_else(|| UnknownRole(name.to_owned()))
    }
}

/// A name that is none of the roles.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no role {0:?}: it is one of admin, operator, auditor, reader")]
pub struct UnknownRole(String);

/// What a request needs before it is let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// Submit commands.
    Write,
    /// Change the deployment: rebuilds, exports, configuration.
    Administer,
    /// Read what is for auditors alone, such as proofs. Nothing asks for it yet: the journal's events are a read model
    /// like any other, and need [`Permission::Read`].
    Audit,
    /// Query the read models.
    Read,
    /// See fields that are sensitive, such as who an account belongs to. That somebody saw one is itself recorded.
    Inspect,
}

impl Permission {
    /// Every permission.
    pub const ALL: [Self; 5] = [Self::Write, Self::Administer, Self::Audit, Self::Read, Self::Inspect];

    /// The name of the permission in answers and in the manual.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Administer => "administer",
            Self::Audit => "audit",
            Self::Read => "read",
            Self::Inspect => "inspect",
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}

/// A set of roles, one bit each, so that a principal is cheap to copy out of the cache for every request.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Roles(u8);

impl Roles {
    /// The set without a role.
    pub const NONE: Self = Self(0);

    /// Whether `role` is in the set.
    #[must_use]
    pub const fn contains(self, role: Role) -> bool {
        self.0 & role.bit() != 0
    }

    /// Whether there is no role in the set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether any role of the set grants `permission`.
    #[must_use]
    pub fn may(self, permission: Permission) -> bool {
        self.iter().any(|role| role.may(permission))
    }

    /// The role that comes first by precedence.
    #[must_use]
    pub fn highest(self) -> Option<Role> {
        self.iter().next()
    }

    /// The roles of the set, by precedence.
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| self.contains(*role))
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        Self(roles.into_iter().fold(0, |set, role| set | role.bit()))
    }
}

impl fmt::Debug for Roles {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_grants_exactly_the_permissions_of_the_table() {
        // Rows are roles, columns are write, administer, audit, read, inspect. Written out, so that a change here is a decision.
        let table = [
            (Role::Admin, [true, true, true, true, true]),
            (Role::Operator, [true, false, false, true, true]),
            (Role::Auditor, [false, false, true, true, true]),
            (Role::Reader, [false, false, false, true, false]),
        ];
        assert_eq!(table.map(|(role, _)| role), Role::ALL);
        for (role, row) in table {
            for (permission, granted) in Permission::ALL.into_iter().zip(row) {
                assert_eq!(role.may(permission), granted, "{role} and {permission}");
                assert_eq!(Roles::from_iter([role]).may(permission), granted, "the set of {role} and {permission}");
            }
        }
    }

    #[test]
    fn a_set_grants_what_any_of_its_roles_grants_and_is_named_by_the_highest() {
        let roles: Roles = [Role::Reader, Role::Auditor, Role::Operator].into_iter().collect();
        assert!(roles.may(Permission::Write) && roles.may(Permission::Audit));
        assert!(!roles.may(Permission::Administer));
        assert_eq!(roles.highest(), Some(Role::Operator));
        assert_eq!(Roles::NONE.highest(), None);
        assert!(!Permission::ALL.into_iter().any(|permission| Roles::NONE.may(permission)));
    }

    #[test]
    fn a_role_is_written_and_read_by_the_same_name_everywhere() {
        for role in Role::ALL {
            assert_eq!(role.to_string().parse::<Role>(), Ok(role));
            assert_eq!(serde_json::to_value(role).expect("a role serializes"), role.as_str());
        }
        assert!("Admin".parse::<Role>().is_err());
        assert!("root".parse::<Role>().is_err());
    }
}
