// Shards the service's collections, before the service is first started: mongosh -u root -p --host router.internal sharded.js
// The shards were added by sh.addShard(), and the user was made as in replica-set.js, at a router.
/* global sh */
sh.shardCollection('hushbox.secrets', { _id: 'hashed' });
sh.shardCollection('hushbox.clients', { _id: 'hashed' });
