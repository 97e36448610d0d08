// Starts GraphiQL on this page, with an Authorization header that outlasts a reload and a small client for
// subscriptions (graphql-transport-ws). Everything comes from this server.
(() => {
  'use strict';

  const TOKEN_KEY = 'cauri.authorization';
  const HINT = 'Bearer <token>';

  const EXAMPLE = `# Cauri answers a query as of one position of its
# journal, and says which (extensions.asOfPosition).
#
# 1. Put a token into "Headers" below:
#      { "Authorization": "Bearer ..." }
#    Its role must be reader, auditor, operator or admin.
# 2. Press the round arrow, lower left, for the schema.
# 3. Press the triangle, or Ctrl-Enter.
#
# After a command, put the "position" of its answer
# into minPosition: the query waits until it sees what
# was done. asOf goes back in business time, knownAt in
# what was known. Amounts are decimal strings.

query Overview {
  head { position root }
  projections { name position lag state }
  accounts(first: 10) {
    asOfPosition
    edges {
      node {
        address
        kind
        balance {
          posted { amount currency }
          pending { amount }
          available { amount }
        }
      }
    }
    pageInfo { hasNextPage endCursor }
  }
  entries(last: 5) {
    edges {
      node {
        id
        state
        effectiveAt
        reference
        transfers { debitAddress creditAddress amount { amount currency } }
      }
    }
  }
}

# Entries as they happen: choose it at the triangle.
subscription Live {
  entries {
    position
    id
    state
    transfers { debitAddress creditAddress amount { amount currency } }
  }
}
`;

  const remembered = () => {
    try {
      return localStorage.getItem(TOKEN_KEY);
    } catch {
      return null;
    }
  };

  const remember = (authorization) => {
    try {
      if (authorization && authorization !== HINT) localStorage.setItem(TOKEN_KEY, authorization);
    } catch {
      // A browser that keeps nothing still works.
    }
  };

  const authorizationIn = (headers) => {
    const name = Object.keys(headers || {}).find((key) => key.toLowerCase() === 'authorization');
    return name === undefined ? undefined : headers[name];
  };

  const isSubscription = (parameters, options) => {
    const document = options && options.documentAST;
    if (!document) return false;
    return document.definitions.some(
      (definition) =>
        definition.kind === 'OperationDefinition' &&
        definition.operation === 'subscription' &&
        (!parameters.operationName || (definition.name && definition.name.value === parameters.operationName)),
    );
  };

  const ask = async (parameters, headers) => {
    const answer = await fetch('/graphql', {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json', accept: 'application/graphql-response+json, application/json' },
      body: JSON.stringify(parameters),
    });
    return answer.json();
  };

  // What GraphiQL knows as an observable: one connection for each subscription.
  const listen = (parameters, authorization) => ({
    subscribe(observer) {
      const sink = typeof observer === 'function' ? { next: observer } : observer;
      const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
      const socket = new WebSocket(`${scheme}//${location.host}/graphql/ws`, 'graphql-transport-ws');
      let over = false;
      const finish = (how, what) => {
        if (over) return;
        over = true;
        if (sink[how]) sink[how](what);
        socket.close(1000);
      };
      socket.onopen = () => {
        const payload = authorization ? { Authorization: authorization } : {};
        socket.send(JSON.stringify({ type: 'connection_init', payload }));
      };
      socket.onmessage = (event) => {
        const message = JSON.parse(event.data);
        if (message.type === 'connection_ack') socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: parameters }));
        else if (message.type === 'next' && !over) sink.next(message.payload);
        else if (message.type === 'error') finish('error', message.payload);
        else if (message.type === 'complete') finish('complete');
        else if (message.type === 'ping') socket.send(JSON.stringify({ type: 'pong' }));
      };
      socket.onclose = (event) => finish('error', { message: `The connection was closed: ${event.code} ${event.reason}` });
      return {
        unsubscribe() {
          if (over) return;
          over = true;
          if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ id: '1', type: 'complete' }));
          socket.close(1000);
        },
      };
    },
  });

  const fetcher = (parameters, options) => {
    const headers = (options && options.headers) || {};
    const authorization = authorizationIn(headers);
    remember(authorization);
    return isSubscription(parameters, options) ? listen(parameters, authorization) : ask(parameters, headers);
  };

  // A link may carry a query, `/graphql?query=...`: it is shown, and run only by whoever looks at it.
  const linked = new URLSearchParams(location.search).get('query');

  const root = document.getElementById('graphiql');
  root.textContent = '';
  ReactDOM.createRoot(root).render(
    React.createElement(GraphiQL, {
      fetcher,
      defaultQuery: EXAMPLE,
      ...(linked === null ? {} : { query: linked }),
      defaultHeaders: JSON.stringify({ Authorization: remembered() || HINT }, null, 2),
      defaultEditorToolsVisibility: 'headers',
      isHeadersEditorEnabled: true,
      inputValueDeprecation: true,
      schemaDescription: true,
    }),
  );
})();
