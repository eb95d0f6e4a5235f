// The output of `npm test` for Node's test runner: a dot for each passed test, the details of each failed one, and what
// tests write to the standard error.
export default async function* reporter(events) {
  const path = []; // names of the suites that are open
  const counts = { pass: 0, fail: 0 };
  for await (const { type, data } of events) {
    if (type === "test:stderr") yield data.message;
    if (type === "test:start") path.length = data.nesting;
    if (type === "test:start") path[data.nesting] = data.name;
    if (type === "test:pass" && data.skip) {
      yield `\n  skipped: ${data.name}: ${data.skip}\n`;
    } else if (type === "test:pass" && data.details.type !== "suite") {
      yield ++counts.pass % 100 === 0 ? ".\n" : ".";
    } else if (type === "test:fail" && data.details.error.failureType !== "subtestsFailed") {
      ++counts.fail;
      const { cause, message } = data.details.error;
      yield `\n✗ ${[...path.slice(0, data.nesting), data.name].join(" › ")}\n${cause?.stack ?? cause ?? message}\n`;
    }
  }
  yield `\n  ${counts.pass} passed, ${counts.fail} failed\n`;
}
