// The cases of the suite: one JSON object for each id, with its kind (required, optimal, check).
import { pathToFileURL } from 'node:url'
const suite = pathToFileURL(process.argv[2] + '/').href
const groups = [...(await import(suite + 'tests/index.mjs')).default, (await import(suite + 'tests/surrogate-control.mjs')).default]
const cases = groups.flatMap(group => group.tests)
console.log(JSON.stringify(cases.map(({ id, kind, browser_only: browser }) => ({ id, kind: kind ?? 'required', browser: !!browser }))))
