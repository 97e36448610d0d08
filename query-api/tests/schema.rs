//! The committed schema is the one that is served.

use crate::support::Ledger;

#[test]
fn the_committed_schema_is_the_schema() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema.graphql");
    let schema = cauri_query_api::schema::sdl();
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(path, &schema).expect("schema.graphql is written");
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == schema,
        "query-api/schema.graphql is not what the code says: run `UPDATE_SCHEMA=1 cargo test -p cauri-query-api the_committed_schema` and commit it"
    );
}

#[tokio::test]
async fn the_usual_introspection_query_is_answered() {
    let ledger = Ledger::start();
    // As GraphiQL and code generators send it (graphql-js, `getIntrospectionQuery`).
    let nested = "kind name ofType { ".repeat(9) + "kind name" + &" }".repeat(9);
    let query = format!(
        "query IntrospectionQuery {{ __schema {{ queryType {{ name }} mutationType {{ name }} subscriptionType {{ name }}
           types {{ ...FullType }} directives {{ name description locations args {{ ...InputValue }} }} }} }}
         fragment FullType on __Type {{ kind name description
           fields(includeDeprecated: true) {{ name description args {{ ...InputValue }} type {{ ...TypeRef }} isDeprecated deprecationReason }}
           inputFields {{ ...InputValue }} interfaces {{ ...TypeRef }}
           enumValues(includeDeprecated: true) {{ name description isDeprecated deprecationReason }} possibleTypes {{ ...TypeRef }} }}
         fragment InputValue on __InputValue {{ name description type {{ ...TypeRef }} defaultValue }}
         fragment TypeRef on __Type {{ {nested} }}"
    );
    let data = ledger.api().data(&query).await;
    assert_eq!(data["__schema"]["queryType"]["name"], "Query");
    assert_eq!(data["__schema"]["mutationType"], serde_json::Value::Null);
    assert_eq!(data["__schema"]["subscriptionType"]["name"], "Subscription");
    let types = data["__schema"]["types"].as_array().expect("types");
    for name in ["AccountAddress", "Currency", "Decimal", "EntryId", "Hash", "Position", "Stream", "Timestamp"] {
        let scalar = types.iter().find(|ty| ty["name"] == name).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(scalar["kind"], "SCALAR");
        assert!(scalar["description"].as_str().is_some_and(|text| !text.is_empty()), "{name} is not described");
    }
}

#[tokio::test]
async fn every_type_and_field_of_the_schema_is_described() {
    let ledger = Ledger::start();
    let query = "{ __schema { types { name kind description fields { name description args { name description } }
        inputFields { name description } enumValues { name description } } } }";
    let data = ledger.api().data(query).await;
    // Of the library: the parts of a Relay connection are described by it.
    let mut silent = Vec::new();
    let mut note = |place: String, described: &serde_json::Value| {
        if described["description"].as_str().is_none_or(str::is_empty) {
            silent.push(place);
        }
    };
    for ty in data["__schema"]["types"].as_array().expect("types") {
        let name = ty["name"].as_str().expect("a name");
        if name.starts_with("__") || ["Int", "Float", "String", "Boolean", "ID", "JSON"].contains(&name) {
            continue;
        }
        if !name.ends_with("Connection") && !name.ends_with("Edge") {
            note(name.to_owned(), ty);
        }
        for part in ["fields", "inputFields", "enumValues"] {
            for field in ty[part].as_array().into_iter().flatten() {
                note(format!("{name}.{}", field["name"]), field);
                for argument in field["args"].as_array().into_iter().flatten() {
                    note(format!("{name}.{}({})", field["name"], argument["name"]), argument);
                }
            }
        }
    }
    assert!(silent.is_empty(), "not described: {silent:?}");
}
