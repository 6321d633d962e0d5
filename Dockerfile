# The image of the service and of its set-up: node, an init, the program and what it needs; nothing to build with.
FROM node:24-slim AS build
RUN apt-get update -qq \
  && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends tini >/dev/null
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --no-audit --no-fund --no-update-notifier

FROM node:24-slim
# Process 1 has to pass signals on and to bury orphans, which node does not.
COPY --from=build /usr/bin/tini /usr/bin/tini
# What volumes are mounted on: a new volume takes over the owner and the mode. Where the engine chooses the user id, as
# OpenShift does, the group is root's, so that group may write to /data.
RUN install -d -o node -g node -m 0700 /keys \
  && install -d -o node -g root -m 0770 /data \
  && install -d -o root -g root -m 0700 /mongo-keys \
  && install -d -o node -g node -m 0750 /run/hushbox \
  && ln -s /app/bin/hushbox /usr/local/bin/hushbox
WORKDIR /app
COPY --from=build /app/node_modules node_modules
COPY package.json ./
COPY scripts/preload.cjs scripts/compile.ts scripts/health-check.ts scripts/node scripts/
RUN node scripts/preload.cjs || { echo 'The base image is too old: docker pull node:24-slim'; exit 1; }
COPY bin/hushbox bin/
COPY client client
COPY src src
# Compiled ahead, for the file system is read-only when it runs.
RUN install -d -o node -g node node_modules/.cache
# By its number: Kubernetes cannot see that a name is not root.
USER 1000
RUN ["node", "scripts/compile.ts"]
ENV NODE_ENV=production HOST=0.0.0.0 DATA_DIR=/data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["node", "scripts/health-check.ts"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["tini", "--"]
CMD ["scripts/node", "src/main.ts"]
