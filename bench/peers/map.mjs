/** @type {import('./peer.mjs').Peer} */
export default {
  name: 'Map',
  kind: 'memory',
  setting: 'Map from bigint to an object; nothing is durable',
  async open() {
    const map = new Map();
    return {
      async put({ keys, values, data }) {
        for (let i = 0; i < keys.length; i++) {
          if (data[i] === null) map.delete(keys[i]);
          else map.set(keys[i], { value: values[i], data: data[i] });
        }
      },
      get: (key) => map.get(key),
      visitAll(visit) {
        for (const [key, { value, data }] of map) visit(key, value, data);
      },
      close: async () => undefined,
    };
  },
};
