// Runs the server audits of graphql-http (GraphQL over HTTP) against an endpoint, prints each, and fails if one that
// it MUST or SHOULD pass does not pass.
//
//   node run.mjs http://127.0.0.1:8080/graphql
//
// The token comes from the environment: CAURI_TOKEN.
import { serverAudits } from 'graphql-http';

const url = process.argv[2];
if (!url) {
  console.error('usage: CAURI_TOKEN=... node run.mjs URL');
  process.exit(2);
}
const authorization = `Bearer ${process.env.CAURI_TOKEN ?? ''}`;
const fetchFn = (address, init = {}) => fetch(address, { ...init, headers: { ...init.headers, authorization } });

let failed = 0;
const counts = {};
for (const audit of serverAudits({ url, fetchFn })) {
  const result = await audit.fn();
  const level = audit.name.split(' ', 1)[0];
  const passed = result.status === 'ok';
  counts[level] ??= { passed: 0, failed: 0 };
  counts[level][passed ? 'passed' : 'failed'] += 1;
  console.log(`${passed ? 'pass' : 'FAIL'} ${audit.id} ${audit.name}`);
  if (passed) continue;
  console.log(`     ${result.reason}`);
  const { response } = result;
  if (response) {
    const body = await response.text().catch(() => '(the body was read already)');
    console.log(`     ${response.status} ${response.headers.get('content-type')} ${body}`);
  }
  if (level === 'MUST' || level === 'SHOULD') failed += 1;
}
for (const [level, { passed, failed: missed }] of Object.entries(counts)) console.log(`${level}: ${passed} passed, ${missed} failed`);
process.exit(failed === 0 ? 0 : 1);
