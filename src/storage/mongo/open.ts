import type { Storage } from '../open.ts';
export async function openMongo(_url: string): Promise<Storage> {
  throw new Error('todo');
}
